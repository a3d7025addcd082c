"""Chromium, driven as a person would: Debian's package, without network beyond this machine."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SHOTS = "GAN3D_SCREENSHOTS"  # names a folder that keeps the screenshots


@contextmanager
def chromium(width: int = 1600, height: int = 1000) -> Iterator:
    """A page of a fresh browser; skips where Chromium is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def keep(page, name: str, tmp_path: Path) -> Path:
    """Keep a screenshot in the folder that GAN3D_SCREENSHOTS names, or in the test's own."""
    folder = Path(os.environ.get(SHOTS) or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    page.screenshot(path=path)
    return path


def settled(page, seconds: float = 3.0) -> None:
    """Wait until the page has drawn what it fetched; MLflow's goes on asking for news."""
    page.wait_for_timeout(1000 * seconds)
