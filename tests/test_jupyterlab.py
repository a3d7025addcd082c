"""The first notebook in a real JupyterLab with a real browser: shapes are drawn in the cell, and turn."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from free_port import free_port
from paths import REPOSITORY
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRAWN = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
PATIENCE = 300  # seconds


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a copy of the notebooks; yields its address."""
    root = tmp_path / "project"
    shutil.copytree(REPOSITORY / "notebooks", root / "notebooks")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, root)
    port = free_port()
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "JUPYTER_DATA_DIR": str(tmp_path)}
    options = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token="]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={root}"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5)
                break
            except OSError:
                assert time.monotonic() < end, (tmp_path / "log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def colors(path: Path) -> int:
    """Pixels of a screenshot that are neither grey nor white."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((pixels.max(2) - pixels.min(2) > 40).sum())


@pytest.mark.full
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_shapes_turn_in_a_cell(lab, tmp_path):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*DRAWN])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        elsewhere: list[str] = []
        local = (lab, lab.replace("http", "ws"), "data:", "blob:", "about:")
        page.on("request", lambda asked: None if asked.url.startswith(local) else elsewhere.append(asked.url))
        page.goto(f"{lab}/lab/tree/notebooks/01-visualise.ipynb?reset", timeout=PATIENCE * 1000)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=PATIENCE * 1000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=PATIENCE * 1000)
        page.click('.lm-MenuBar-itemLabel:text-is("Run")')
        page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
        frame = page.locator(".jp-Notebook iframe").first
        frame.wait_for(timeout=PATIENCE * 1000)
        frame.scroll_into_view_if_needed()
        page.wait_for_timeout(3000)
        before, after = tmp_path / "before.png", tmp_path / "after.png"
        frame.screenshot(path=before)
        assert colors(before) > 3000  # the shapes, not their frame alone
        box = frame.bounding_box()
        page.mouse.move(box["x"] + 100, box["y"] + 120)
        page.mouse.down()
        page.mouse.move(box["x"] + 260, box["y"] + 140, steps=8)
        page.mouse.up()
        page.wait_for_timeout(1500)
        frame.screenshot(path=after)
        first, second = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (before, after))
        assert (np.abs(first - second).max(2) > 30).mean() > 0.01
        assert elsewhere == []
        browser.close()
