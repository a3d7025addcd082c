"""A process killed at random moments, started again by the same command, ends with the same bytes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paths import SUPPORT

SCRIPT = SUPPORT / "stage_process.py"


def start(*arguments: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, str(SCRIPT), *map(str, arguments)], env=dict(os.environ))


def run(*arguments: Path) -> None:
    assert start(*arguments).wait(timeout=300) == 0


def newest(checkpoints: Path) -> int:
    """Images seen by the newest checkpoint."""
    return max((int(path.stem.split("-")[0]) for path in checkpoints.glob("*.npz")), default=0)


def kill_after_progress(checkpoints: Path, delay: float, *arguments: Path) -> bool:
    """Start the stage, wait until it has gone on and a moment more, and kill it; whether it was still at work."""
    process, before, deadline = start(*arguments), newest(checkpoints), time.monotonic() + 300
    while newest(checkpoints) == before and process.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint appears"
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def straight(dataset_folder, tmp_path_factory) -> dict[str, bytes]:
    """What a stage leaves that nobody disturbed."""
    folder = tmp_path_factory.mktemp("straight")
    run(dataset_folder, folder / "checkpoints", folder / "out")
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.full)])
def test_a_stage_killed_again_and_again_ends_with_the_same_bytes(straight, dataset_folder, tmp_path, kills):
    checkpoints, arguments = tmp_path / "checkpoints", (dataset_folder, tmp_path / "checkpoints", tmp_path / "out")
    chance, killed, reached = random.Random(kills), 0, [0]
    for _ in range(kills):
        killed += kill_after_progress(checkpoints, chance.uniform(0, 0.3), *arguments)
        reached.append(newest(checkpoints))
    assert killed >= 2  # the last may come after the end
    assert reached == sorted(reached)
    assert not list(tmp_path.glob("out/*")) or killed < kills
    run(*arguments)
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(found) == ["config.json", "generator.npz", "rows.json", "training.npz"]
    images = [row["images"] for row in json.loads(found["rows.json"])]
    assert images == [*range(32, 4000, 32), 4000]
    for name, content in straight.items():
        assert found[name] == content, name
