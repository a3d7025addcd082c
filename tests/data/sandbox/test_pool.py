"""Calls that exceed their time or memory, or kill their process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paths import SUPPORT
from sandboxed_calls import crash_once, die_while_answering, double, mixed, reject, stuck

from gan3d.data.formats.readers import UnreadableFile
from gan3d.data.sandbox.pool import Limits, SandboxPool, WorkerFailure

HERE = str(SUPPORT)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", HERE, prepend=os.pathsep)


@pytest.mark.slow
def test_every_call_gets_an_answer_and_a_bad_one_affects_no_other():
    calls = [("double", i) for i in range(20)]
    calls[3], calls[7], calls[11] = ("sleep", 600), ("greedy", 900), ("crash", 0)
    with SandboxPool(2, Limits(seconds=3, memory=256)) as sandbox:
        answers = dict(sandbox.map(mixed, calls))
    assert sorted(answers) == list(range(20))
    assert {i: answer for i, answer in answers.items() if not isinstance(answer, WorkerFailure)} == {
        i: 2 * i for i in range(20) if i not in (3, 7, 11)
    }
    assert answers[3].reason == "It took longer than 3 seconds."
    assert answers[7].reason == "It needs more than 256 MiB of memory."
    assert answers[11].reason == "Reading it crashed the process."
    assert all(answers[i].advice.endswith(".") for i in (3, 7, 11))


@pytest.mark.slow
def test_a_call_stuck_in_c_code_is_killed():
    with SandboxPool(1, Limits(seconds=1.5, memory=8192)) as sandbox:
        start = time.monotonic()
        assert sandbox.call(stuck, 0).reason == "It took longer than 1.5 seconds."
        assert time.monotonic() - start < 30
        assert sandbox.call(double, 4) == 8


def test_a_call_whose_process_was_killed_is_retried_once(tmp_path):
    with SandboxPool(1) as sandbox:
        assert sandbox.call(crash_once, str(tmp_path / "mark")) == "second time"


@pytest.mark.slow
def test_a_process_killed_while_it_answers_affects_no_other_call():
    with SandboxPool(2, Limits(seconds=30)) as sandbox:
        answers = dict(sandbox.map(die_while_answering, [(number,) for number in range(20)]))
    assert sorted(answers) == list(range(20))
    assert {number for number, answer in answers.items() if isinstance(answer, WorkerFailure)} <= {5, 15}


def test_exceptions_are_raised_in_the_caller():
    with SandboxPool(1) as sandbox, pytest.raises(UnreadableFile, match="bad"):
        sandbox.call(reject, 0)


def test_no_worker_outlives_its_parent(tmp_path):
    script = (
        "import os, sys\n"
        f"sys.path.insert(0, {HERE!r})\n"
        "import sandboxed_calls\n"
        "from gan3d.data.sandbox.pool import SandboxPool\n"
        "with SandboxPool(1) as sandbox:\n"
        "    sandbox.call(sandboxed_calls.double, 1)\n"
        "    print(sandbox.processes[0].popen.pid, flush=True)\n"
        "    sandbox.call(sandboxed_calls.sleep, 600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _is_running(child):
        time.sleep(0.1)
    assert not _is_running(child)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
