"""The report on a prepared data set."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from gan3d.data.pipeline.prepare import prepare
from gan3d.reports import data_report


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("report")
    random = np.random.default_rng(0)
    for name in ("cup", "<pot>"):
        (root / "source" / name).mkdir(parents=True)
        for index in range(5):
            grid = np.zeros((16,) * 3, bool)
            grid[2:14, : random.integers(4, 14), 2 : random.integers(6, 15)] = True
            np.save(root / "source" / name / f"{index}.npy", grid)
    shutil.copy(root / "source/cup/1.npy", root / "source/cup/copy.npy")
    (root / "source/cup/broken & bold.obj").write_text("v 1 2 3\n")
    prepare(root / "source", root / "voxels", 16)
    return root / "voxels"


def test_the_page_describes_contents_and_what_was_left_out(prepared):
    path = data_report.write(prepared)
    assert path == prepared.parent / "voxels-report.html"
    page = path.read_text(encoding="utf-8")
    for part in ("Random shapes", "Outliers", "Occupancy", "Mirror symmetry", "Rejected files", "connected"):
        assert part in page
    assert "broken &amp; bold.obj" in page
    assert "It has no faces." in page
    assert "cup/copy.npy" in page
    assert "&lt;pot&gt;" in page
    assert "<pot>" not in page
    assert page.count("data:image/png;base64,") == 2
    assert all(address.startswith("data:") for address in re.findall(r"(?:src|href)=\"([^\"]*)", page))
    assert not re.findall("https?:", page)


def test_the_same_data_gives_the_same_page(prepared, tmp_path):
    first = data_report.write(prepared, tmp_path / "a.html").read_bytes()
    assert data_report.write(prepared, tmp_path / "b.html").read_bytes() == first
