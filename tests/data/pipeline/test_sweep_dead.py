"""A killed `prepare` leaves nothing that the next one does not sweep."""

import subprocess
import sys

import pytest

from gan3d.data.pipeline import writer

HOLDS = """
import os, sys, time
from pathlib import Path
from gan3d.data.pipeline import writer
out, moment = Path(sys.argv[1]), sys.argv[2]
rename = Path.rename
def dies(path, target):
    rename(path, target)
    os._exit(9)
with writer.atomic_replace(out) as folder:
    (folder / "manifest.csv").write_text("half")
    if moment == "writing":
        os._exit(9)
    if moment == "living":
        print("ready", flush=True)
        time.sleep(600)
    Path.rename = dies  # between the two renames
"""


@pytest.mark.parametrize("moment", ["writing", "renaming", "living"])
def test_the_next_prepare_sweeps_what_a_dead_one_left(tmp_path, moment):
    out = tmp_path / "voxels"
    out.mkdir()
    (out / "manifest.csv").write_text("whole", encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-c", HOLDS, out, moment], stdout=subprocess.PIPE)
    if moment == "living":
        assert process.stdout.readline()
    else:
        assert process.wait() == 9
    assert len(list(tmp_path.glob(".voxels-*"))) == 1
    writer.sweep_dead(out)
    try:
        assert len(list(tmp_path.glob(".voxels-*"))) == (moment == "living")
        assert (out / "manifest.csv").read_text(encoding="utf-8") == "whole"
    finally:
        process.kill()
        process.wait()
