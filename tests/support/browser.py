"""Chromium, driven by Playwright: pages at a width, light or dark, their rule violations and their pictures."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from paths import REPOSITORY
from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# software rendering for WebGL; nothing that calls home
FLAGS = [
    *("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
]
SCREENSHOTS = Path(os.environ.get("GAN3D_SCREENSHOTS") or REPOSITORY / "build" / "screenshots")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install it with `apt-get install chromium`")


@contextlib.contextmanager
def browser() -> Iterator["Browser"]:
    """A headless Chromium, closed at the end."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, env=dict(os.environ))
        try:
            yield Browser(chromium)
        finally:
            chromium.close()


@contextlib.contextmanager
def chromium(width: int = 1600, height: int = 1000) -> Iterator[Page]:
    """One page of a fresh browser, for a person's walk through somebody else's screens."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with browser() as opened:
        page = opened.chromium.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        yield page


def settled(page: Page, seconds: float = 3.0) -> None:
    """Wait until the page has drawn what it fetched; MLflow's goes on asking for news."""
    page.wait_for_timeout(1000 * seconds)


class Browser:
    """Opens pages; those opened before are closed."""

    def __init__(self, chromium):
        self.chromium = chromium
        self.context = None

    def open(self, address: str, width: int = 1280, scheme: str = "light", height: int = 900) -> Page:
        """A page, once it has settled; `page.foreign` lists what it loaded from elsewhere, `page.errors` its errors."""
        if self.context is not None:
            self.context.close()
        self.context = self.chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = self.context.new_page()
        own = address.split("#")[0]
        own = own if own.startswith("file:") else "/".join(own.split("/")[:3])
        page.foreign, page.errors = [], []
        page.on("request", lambda asked: _note_foreign(page, asked.url, own))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
        page.goto(address, wait_until="load")
        page.wait_for_timeout(300)
        return page


def _note_foreign(page: Page, url: str, own: str) -> None:
    if not url.startswith((own, "data:", "blob:")):
        page.foreign.append(url)


def violations(page: Page) -> list[str]:
    """What axe-core finds against its rules, one line each."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {node['html'][:160]} ({node.get('failureSummary', '')[:300]})"
        for rule in found
        for node in rule["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def keep_picture(page: Page, name: str, full: bool = True) -> Path:
    """Save a picture of the page for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path, full_page=full)
    return path
