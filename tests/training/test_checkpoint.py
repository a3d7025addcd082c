"""Checkpoints are whole or passed over."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan3d.training import checkpoint

RECORD = {"rows": [{"images": 32, "loss_d": 0.123456789012345}], "callback": {"run": "é1"}}

END = 10**6  # images of the whole training


def state(value: float) -> dict:
    """Nested as a training's is: dictionaries of lists, arrays without axes."""
    return {
        "generator": [np.full((2, 3), value, np.float32), np.arange(4, dtype=np.float32)],
        "adam": {"m": [np.full(5, value, np.float32)], "t": np.float32(value)},
    }


def equal(a: dict, b: dict) -> bool:
    return (
        a["adam"]["t"] == b["adam"]["t"]
        and np.array_equal(a["adam"]["m"][0], b["adam"]["m"][0])
        and all(np.array_equal(x, y) for x, y in zip(a["generator"], b["generator"], strict=True))
    )


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    checkpoint.save(tmp_path / "new", 96, state(1.5), RECORD)
    images, found, record, warnings = checkpoint.load(tmp_path / "new", state(0), END)
    assert (images, record, warnings) == (96, RECORD, [])
    assert equal(found, state(1.5))
    assert found["generator"][0].dtype == np.float32


def test_more_than_ten_leaves_keep_their_order(tmp_path):
    many = {"generator": [np.array(i) for i in range(25)]}
    checkpoint.save(tmp_path, 1, many, {})
    _, found, _, _ = checkpoint.load(tmp_path, many, END)
    assert [int(leaf) for leaf in found["generator"]] == list(range(25))


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.load(tmp_path, state(0), END) is None
    assert checkpoint.load(tmp_path / "missing", state(0), END) is None


def test_the_newest_is_used_and_the_last_two_are_kept(tmp_path):
    for images in (4, 8, 100, 1000):
        checkpoint.save(tmp_path, images, state(images), RECORD)
    assert [int(path.stem.split("-")[0]) for path in sorted(tmp_path.iterdir())] == [100, 1000]
    assert checkpoint.load(tmp_path, state(0), END)[0] == 1000


def test_a_shorter_training_leaves_a_longer_ones_checkpoints(tmp_path):
    for images in (90, 100):
        checkpoint.save(tmp_path, images, state(images), RECORD)
    torn = checkpoint.save(tmp_path, 110, state(110), RECORD)  # 90 goes
    torn.write_bytes(b"torn")
    for images in (4, 8, 12):
        assert checkpoint.load(tmp_path, state(0), 12) is None or images > 4
        checkpoint.save(tmp_path, images, state(images), RECORD)
    assert [int(path.stem.split("-")[0]) for path in sorted(tmp_path.iterdir())] == [8, 12, 100]
    assert checkpoint.load(tmp_path, state(0), END)[0] == 100


def test_equal_states_make_equal_files(tmp_path):
    first, second = (checkpoint.save(tmp_path / name, 4, state(2), RECORD) for name in "ab")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


DAMAGES = {
    "truncated": lambda content: content[: len(content) // 2],
    "one bit flipped": lambda content: bytes([*content[:300], content[300] ^ 1, *content[301:]]),
    "empty": lambda content: b"",
    "longer": lambda content: content + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(tmp_path, damage):
    checkpoint.save(tmp_path, 4, state(4), RECORD)
    newest = checkpoint.save(tmp_path, 8, state(8), RECORD)
    newest.write_bytes(DAMAGES[damage](newest.read_bytes()))
    images, found, _, (warning,) = checkpoint.load(tmp_path, state(0), END)
    assert images == 4
    assert equal(found, state(4))
    assert str(newest) in warning


@given(st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_checkpoint_cut_anywhere_is_passed_over(tmp_path, data):
    for old in tmp_path.iterdir():
        old.unlink()
    checkpoint.save(tmp_path, 4, state(4), RECORD)
    newest = checkpoint.save(tmp_path, 8, state(8), RECORD)
    content = newest.read_bytes()
    newest.write_bytes(content[: data.draw(st.integers(0, len(content) - 1), "length")])
    images, found, record, (warning,) = checkpoint.load(tmp_path, state(0), END)
    assert (images, record) == (4, RECORD)
    assert equal(found, state(4))
    assert warning == f"{newest} is damaged: falling back to the checkpoint before it."


class KilledError(BaseException):
    """What a kill looks like from inside: nothing after it runs."""


MOMENTS = ("write", "fsync", "replace", "unlink")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_while_a_checkpoint_is_written_leaves_a_whole_one(tmp_path, monkeypatch, moment):
    """At each of the steps of which saving consists; half of the bytes may be there, or all under the wrong name."""
    for images in (4, 8):
        checkpoint.save(tmp_path, images, state(images), RECORD)

    def killed(*_: Any, **__: Any) -> None:
        raise KilledError

    class Torn(io.BufferedWriter):
        def write(self, content: bytes) -> int:
            super().write(content[: len(content) // 2])
            self.flush()
            raise KilledError

    with monkeypatch.context() as patch:
        if moment == "write":
            patch.setattr(Path, "open", lambda path, mode: Torn(io.FileIO(path, "w")))
        elif moment == "fsync":
            patch.setattr(os, "fsync", killed)
        else:
            patch.setattr(Path, moment, killed)
        with pytest.raises(KilledError):
            checkpoint.save(tmp_path, 12, state(12), RECORD)
    images, found, record, warnings = checkpoint.load(tmp_path, state(0), END)
    assert (images, record, warnings) == (12 if moment == "unlink" else 8, RECORD, [])
    assert equal(found, state(images))
    checkpoint.save(tmp_path, 16, state(16), RECORD)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz", ".npz"]


def test_when_all_are_damaged_there_is_none(tmp_path):
    for images in (4, 8):
        checkpoint.save(tmp_path, images, state(images), RECORD).write_bytes(b"torn")
    assert checkpoint.load(tmp_path, state(0), END) is None


def test_what_a_kill_while_writing_leaves_is_neither_used_nor_kept(tmp_path):
    checkpoint.save(tmp_path, 4, state(4), RECORD)
    torn = tmp_path / "0000000008-0123456789abcdef.tmp"
    torn.write_bytes(b"half a checkpoint")
    assert checkpoint.load(tmp_path, state(0), END)[0] == 4
    checkpoint.save(tmp_path, 8, state(8), RECORD)
    assert not torn.exists()
    assert checkpoint.load(tmp_path, state(0), END)[0] == 8


def test_losses_that_are_not_finite_survive_the_record(tmp_path):
    checkpoint.save(tmp_path, 4, state(4), {"rows": [{"loss_d": float("nan"), "penalty": float("inf")}]})
    _, _, record, _ = checkpoint.load(tmp_path, state(0), END)
    assert np.isnan(record["rows"][0]["loss_d"])
    assert np.isinf(record["rows"][0]["penalty"])


def test_a_shorter_training_passes_over_the_checkpoints_of_a_longer_one(tmp_path):
    """They would make it longer than it was asked to be."""
    for images in (4, 8):
        checkpoint.save(tmp_path, images, state(images), RECORD)
    assert checkpoint.load(tmp_path, state(0), end=7)[0] == 4
    assert checkpoint.load(tmp_path, state(0), end=3) is None
    checkpoint.save(tmp_path, 2, state(2), RECORD)
    assert checkpoint.load(tmp_path, state(0), end=3)[0] == 2


def test_damaged_checkpoints_do_not_push_out_a_whole_one(tmp_path):
    for images in (8, 12):
        checkpoint.save(tmp_path, images, state(images), RECORD).write_bytes(b"torn")
    checkpoint.save(tmp_path, 4, state(4), RECORD)
    assert checkpoint.load(tmp_path, state(0), END)[0] == 4


@pytest.fixture
def other_process():
    """A process that is alive."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_what_another_process_is_writing_stays_until_it_is_dead(tmp_path, other_process):
    """Two experiments of a queue train one stage: neither may delete the other's file."""
    theirs = tmp_path / f"0000000008-0123456789abcdef.{other_process.pid}-00.tmp"
    theirs.write_bytes(b"half a checkpoint")
    checkpoint.save(tmp_path, 4, state(4), RECORD)
    assert theirs.exists()
    other_process.kill()
    other_process.wait()
    checkpoint.save(tmp_path, 8, state(8), RECORD)
    assert not theirs.exists()


def test_files_that_are_no_checkpoints_are_left_alone(tmp_path):
    """Such as a copy by a file manager, a download, a note."""
    others = [
        tmp_path / name for name in ("copy.npz", "0000000004-0123456789abcdef (1).npz", "note-of-me.npz", "x.txt")
    ]
    for path in others:
        path.write_bytes(b"")
    checkpoint.save(tmp_path, 4, state(4), RECORD)
    assert checkpoint.load(tmp_path, state(0), END)[0] == 4
    assert all(path.exists() for path in others)


def test_damaged_checkpoints_are_found(tmp_path):
    checkpoint.save(tmp_path, 4, state(4), RECORD)
    torn = checkpoint.save(tmp_path, 8, state(8), RECORD)
    torn.write_bytes(b"torn")
    assert checkpoint.damaged(tmp_path, END) == [torn]
    assert checkpoint.damaged(tmp_path, 7) == []


HOLD = """
import sys
from pathlib import Path
from gan3d.training.checkpoint import sole_writer
with sole_writer(Path(sys.argv[1]), lambda: print("waiting", flush=True)):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(folder: Path) -> subprocess.Popen:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], env=dict(os.environ), **pipes)


@pytest.mark.parametrize("killed", [False, True])
def test_a_folder_has_one_writer_and_its_lock_dies_with_it(tmp_path, killed):
    first = holder(tmp_path / "new")
    assert first.stdout.readline() == "held\n"
    second = holder(tmp_path / "new")
    assert second.stdout.readline() == "waiting\n"
    time.sleep(0.5)
    assert second.poll() is None
    if killed:
        first.kill()
    else:
        first.stdin.write("\n")
        first.stdin.flush()
    assert second.stdout.readline() == "held\n"
    second.communicate("\n", timeout=60)
    first.communicate()
    assert second.returncode == 0
