"""Calls that take too long, too much memory, or end their process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paths import SUPPORT
from sandboxed_calls import crash_once, double, mixed, refuse, stuck

from gan3d.data.formats.readers import Unreadable
from gan3d.data.sandbox.pool import Limits, SandboxPool, WorkerFailure

HERE = str(SUPPORT)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)


@pytest.mark.slow
def test_every_call_has_an_answer_and_a_bad_one_costs_only_itself():
    calls = [("double", i) for i in range(20)]
    calls[3], calls[7], calls[11] = ("sleep", 600), ("greedy", 900), ("crash", 0)
    with SandboxPool(2, Limits(seconds=3, memory=256)) as guard:
        answers = dict(guard.map(mixed, calls))
    assert sorted(answers) == list(range(20))
    assert {i: answer for i, answer in answers.items() if not isinstance(answer, WorkerFailure)} == {
        i: 2 * i for i in range(20) if i not in (3, 7, 11)
    }
    assert answers[3].reason == "It took longer than 3 seconds."
    assert answers[7].reason == "It needs more than 256 MiB of memory."
    assert answers[11].reason == "Reading it ended its process."
    assert all(answers[i].advice.endswith(".") for i in (3, 7, 11))


@pytest.mark.slow
def test_a_call_that_is_deep_in_c_is_ended():
    with SandboxPool(1, Limits(seconds=1.5, memory=8192)) as guard:
        start = time.monotonic()
        assert guard.call(stuck, 0).reason == "It took longer than 1.5 seconds."
        assert time.monotonic() - start < 30
        assert guard.call(double, 4) == 8


def test_a_call_whose_process_was_killed_once_is_made_again(tmp_path):
    with SandboxPool(1) as guard:
        assert guard.call(crash_once, str(tmp_path / "mark")) == "second time"


def test_an_error_of_a_function_is_raised_here():
    with SandboxPool(1) as guard, pytest.raises(Unreadable, match="bad"):
        guard.call(refuse, 0)


def test_no_process_outlives_the_one_that_started_it(tmp_path):
    script = (
        "import os, sys\n"
        f"sys.path.insert(0, {HERE!r})\n"
        "import sandboxed_calls\n"
        "from gan3d.data.sandbox.pool import SandboxPool\n"
        "with SandboxPool(1) as guard:\n"
        "    guard.call(sandboxed_calls.double, 1)\n"
        "    print(guard.processes[0].popen.pid, flush=True)\n"
        "    guard.call(sandboxed_calls.sleep, 600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _runs(child):
        time.sleep(0.1)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
