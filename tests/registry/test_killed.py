"""`register` killed at any step, or run twice at once, leaves one finished version."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest
from candidates import MODEL, connect, facts
from paths import SUPPORT

from gan3d.registry import log
from gan3d.registry.log import log_candidate
from gan3d.tracking.delivery import sync
from gan3d.tracking.store import experiment_id


class Killed(BaseException):
    """As a SIGKILL, but in this process: nothing runs after it that could tidy up."""


def versions(client):
    return {int(found.version): found.tags for found in client.search_model_versions(f"name = '{MODEL}'")}


@pytest.fixture
def killed_before_its_tag(client, folder, mlruns, monkeypatch):
    """A version without content, in a process that is gone."""

    def die(*arguments):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(log, "_finish", die)
        with pytest.raises(Killed):
            log_candidate(client, MODEL, folder, facts(), mlruns=mlruns)
    assert "content" not in versions(client)[1]
    return client


def test_the_next_call_finishes_the_version(killed_before_its_tag, folder, mlruns):
    client = killed_before_its_tag
    assert log_candidate(client, MODEL, folder, facts(), mlruns=mlruns) == 1
    assert list(versions(client)) == [1]
    assert len(versions(client)[1]["content"]) == 16
    assert client.get_model_version(MODEL, "1").description
    assert log_candidate(client, MODEL, folder, facts(), mlruns=mlruns) == 1


def test_an_unfinished_version_of_another_content_is_deleted(killed_before_its_tag, folder, mlruns):
    client = killed_before_its_tag
    number = log_candidate(client, MODEL, folder, facts(0.7), mlruns=mlruns)
    assert list(versions(client)) == [number]


def test_versions_of_people_stay(client, folder, mlruns, killed_before_its_tag):
    """Without weights in its tags, it is not of this command; with an alias, it is in use."""
    client.set_registered_model_alias(MODEL, "mine", "1")
    source = client.get_model_version(MODEL, "1").source
    by_hand = int(client.create_model_version(MODEL, source).version)
    number = log_candidate(client, MODEL, folder, facts(0.7), mlruns=mlruns)
    assert sorted(versions(client)) == sorted({1, by_hand, number})


REGISTERS = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from filelock import FileLock
from candidates import MODEL, connect, facts
from gan3d.registry import log
mlruns, moment = Path(sys.argv[2]), sys.argv[4]
if moment:
    setattr(log, moment, lambda *arguments, **named: os._exit(9))
with FileLock(mlruns / ".register.lock"):
    print(log.log_candidate(connect(mlruns), MODEL, sys.argv[3], facts(), mlruns=mlruns))
"""


def register(mlruns, folder, moment=""):
    env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    command = [sys.executable, "-c", REGISTERS, str(SUPPORT), str(mlruns), str(folder), moment]
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [pytest.param(moment, marks=pytest.mark.full) for moment in ("_log", "_picture", "_model_facts")] + ["_finish"],
)
def test_a_killed_register_is_repeated(mlruns, folder, moment):
    assert register(mlruns, folder, moment).returncode == 9
    done = register(mlruns, folder)
    assert done.returncode == 0, done.stderr
    client = connect(mlruns)
    assert [len(tags["content"]) for tags in versions(client).values()] == [16]
    sync(client, mlruns / "outbox")
    states = [run.info.status for run in client.search_runs([experiment_id(client)])]
    assert set(states) <= {"FINISHED", "KILLED"}


@pytest.mark.slow
def test_two_at_once_make_one_version(mlruns, folder):
    connect(mlruns)
    mlflow.set_tracking_uri(None)
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: register(mlruns, folder), range(2)))
    assert [done.stdout.strip() for done in both] == ["1", "1"], both[0].stderr + both[1].stderr
    assert list(versions(connect(mlruns))) == [1]
