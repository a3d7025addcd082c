"""Many workers on one study, as processes: started at once, killed, on PostgreSQL, on Dask."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState
from paths import REPOSITORY
from small_project import edit
from tuned_studies import account

from gan3d.config.project import Project
from gan3d.tuning import report, sweep
from gan3d.tuning.study import WORKER_PID, find_study
from gan3d.tuning.study_spec import study_spec

pytestmark = pytest.mark.slow

SECONDS = 400


def gan3d(home, *arguments: str, **environment: str) -> subprocess.Popen:
    """Start a command with its output in a file."""
    hidden = ("MLFLOW_TRACKING_URI", "KERAS_BACKEND", "DVC_ROOT")
    env = {k: v for k, v in os.environ.items() if k not in hidden} | {"CUDA_VISIBLE_DEVICES": ""} | environment
    number = len(list(home.work.glob("worker*.log")))
    out = (home.work / f"worker{number}.log").open("w")
    command = [sys.executable, "-m", "gan3d", *arguments]
    return subprocess.Popen(command, cwd=home.work, env=env, stdout=out, stderr=out)


def worker(home, stage: str = "r04", *options: str, **environment: str) -> subprocess.Popen:
    return gan3d(home, "tune", stage, "--worker", *options, **environment)


def output(home) -> str:
    return "\n".join(path.read_text() for path in sorted(home.work.glob("worker*.log")))


def wait(home, *processes: subprocess.Popen, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    for process in processes:
        try:
            assert process.wait(max(1, deadline - time.monotonic())) == 0, output(home)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(output(home)) from None


def check_trials(study, home, trials: int):
    """Check that there are `trials` trials besides retries, all ended, and no values trained twice but by a retry."""
    parent, found = account(study, home)
    assert parent.info.status == "FINISHED", output(home)
    retries = [trial for trial in study.trials if RetryHeartbeatStaleTrialCallback.retry_history(trial)]
    assert len(study.trials) - len(retries) == trials
    done = [trial for trial in study.trials if trial.state != TrialState.FAIL and "same_as" not in trial.user_attrs]
    values = [tuple(sorted(trial.params.items())) for trial in done]
    assert len(set(values)) == len(values)
    return retries, found


def kill_during_a_trial(home, stage: str, after: int, changes: dict, seconds: float = SECONDS) -> None:
    """Start two workers at once on a new study and kill one while it trains; the other finishes the study."""
    params = edit(home, lambda tree: tree["tune"].update(changes))
    doomed, other = worker(home, stage), worker(home, stage)
    chosen = study_spec(params, stage, home)
    deadline = time.monotonic() + seconds
    victim = None
    while victim is None:
        assert time.monotonic() < deadline, output(home)
        assert doomed.poll() is None, output(home)
        time.sleep(0.2)
        if not list((home.checkpoints / "tune" / stage).glob("*/*.npz")):
            continue
        mine = [t for t in find_study(chosen).trials if t.user_attrs.get(WORKER_PID) == doomed.pid]
        reports = range(2, changes["images"] // changes["report"] // 2 + 1)  # long before its end
        running = [t for t in mine if t.state == TrialState.RUNNING and len(t.intermediate_values) in reports]
        if running and running[-1].number >= after:
            victim = running[-1].number
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    wait(home, other, seconds=seconds)
    study = find_study(chosen)
    retries, found = check_trials(study, home, changes["trials"])
    assert study.trials[victim].state == TrialState.FAIL
    assert found[str(victim)].data.tags["reason"] == "its worker died"
    assert [RetryHeartbeatStaleTrialCallback.retry_history(retry) for retry in retries] == [[victim]]
    assert retries[0].params == study.trials[victim].params
    assert retries[0].user_attrs["continued_at"] >= changes["report"]
    assert retries[0].state in (TrialState.COMPLETE, TrialState.PRUNED)
    assert found[str(retries[0].number)].data.tags["retry_of"] == str(victim)
    assert not list((home.checkpoints / "tune").rglob("*.npz"))


def test_the_trial_of_a_killed_worker_is_retried_by_another(home):
    kill_during_a_trial(home, "r04", 0, {"trials": 4, "images": 2048, "report": 256})


@pytest.fixture
def furniture(tmp_path) -> Project:
    """The repository's parameters with the embedded data, up to 8³, and a model of 4³ that has seen few images."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(REPOSITORY / "params.yaml", root)
    (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    home = Project(root, root)

    def change(tree):
        tree["data"]["resolution"] = 8
        tree["train"]["stages"].pop("r16")
        tree["train"]["stages"]["r04"]["stabilise"] = 1500

    edit(home, change)
    for command in (("data", "synthetic"), ("prepare",), ("train", "r04")):
        wait(home, gan3d(home, *command))
    return home


@pytest.mark.full
def test_thirty_trials_with_one_of_two_workers_killed(furniture):
    changes = {"trials": 30, "images": 768, "report": 128, "count": 40, "heartbeat": 10}
    kill_during_a_trial(furniture, "r08", 10, changes, seconds=3600)


def test_ctrl_c_ends_cleanly_and_the_same_command_continues(home):
    params = edit(home, lambda tree: tree["tune"].update(trials=2, images=100_000, report=256))
    first = worker(home)
    deadline = time.monotonic() + SECONDS
    while not list((home.checkpoints / "tune" / "r04").glob("*/*.npz")):
        assert time.monotonic() < deadline
        assert first.poll() is None, output(home)
        time.sleep(0.2)
    first.send_signal(signal.SIGINT)
    assert first.wait(120) == 130, output(home)
    assert "run the same command again to continue" in output(home)
    assert "Traceback" not in output(home)
    study = find_study(study_spec(params, "r04", home))
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_the_workers_of_one_command_share_its_trials(home):
    params = edit(home, lambda tree: tree["tune"].update(trials=30))
    wait(home, gan3d(home, "tune", "r04", "--workers", "2", "--trials", "3"))
    study = find_study(study_spec(params, "r04", home))
    check_trials(study, home, 3)
    assert len({trial.user_attrs[WORKER_PID] for trial in study.trials}) == 2
    assert "3 trials: 3 complete." in output(home)
    assert "apply it with `gan3d tune apply r04`" in output(home)


@pytest.fixture
def postgres(tmp_path):
    """The URL of a PostgreSQL server made from the system's binaries."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    path = os.pathsep.join([os.environ["PATH"], *map(str, reversed(installed))])  # Debian's are not on the PATH
    initdb, server = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
    if initdb is None or server is None:
        pytest.skip("initdb and postgres are neither on the PATH nor in /usr/lib/postgresql")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: the extra postgres brings it")
    folder = Path("/tmp") / f"gan3d-pg-{os.getpid()}"  # a short path, for the socket, that another user may enter
    folder.mkdir(mode=0o777)
    user = {}
    if os.geteuid() == 0:  # it refuses root
        import pwd

        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    data = folder / "data"
    try:
        made = subprocess.run(
            [initdb, "-D", str(data), "-U", "gan", "-A", "trust", "-E", "UTF8", "--no-sync"],
            capture_output=True,
            text=True,
            cwd=folder,
            **user,
        )
        if made.returncode:
            pytest.skip(f"initdb does not run here: {made.stderr.strip().splitlines()[-1]}")
        command = [server, "-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-F"]
        with (tmp_path / "postgres.log").open("w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, cwd=folder, **user)
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    psycopg.connect(host=str(folder), user="gan", dbname="postgres").close()
                    break
                except psycopg.OperationalError:
                    assert time.monotonic() < deadline, (tmp_path / "postgres.log").read_text()
                    time.sleep(0.2)
            yield f"postgresql://gan@/postgres?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_workers_share_a_study_on_postgresql(home, postgres):
    params = edit(home, lambda tree: tree["tune"].update(trials=4))
    wait(home, *(worker(home, GAN3D_STORAGE=postgres) for _ in range(2)))
    study = find_study(study_spec(params, "r04", home, postgres))
    check_trials(study, home, 4)
    assert not (home.mlruns / "optuna.db").exists()
    sweep.apply_best(study_spec(params, "r04", home, postgres))
    best = report.best(study).params
    stage = edit(home, lambda tree: None).train.stages["r04"]
    assert {name: getattr(stage, name) for name in best} == best


def test_trials_spread_over_dask(home):
    distributed = pytest.importorskip("distributed", reason="distributed is not installed: the extra dask brings it")
    params = edit(home, lambda tree: tree["tune"].update(trials=4))
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        study = sweep.run(study_spec(params, "r04", home), dask=cluster.scheduler_address)
    check_trials(study, home, 4)
    assert len({trial.user_attrs[WORKER_PID] for trial in study.trials}) == 2


def test_ctrl_c_stops_the_dask_workers(home):
    distributed = pytest.importorskip("distributed", reason="distributed is not installed: the extra dask brings it")
    params = edit(home, lambda tree: tree["tune"].update(trials=4, images=100_000, report=256))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        command = gan3d(home, "tune", "r04", "--dask", cluster.scheduler_address)
        deadline = time.monotonic() + SECONDS
        while len(list((home.checkpoints / "tune" / "r04").glob("*/*.npz"))) < 2:
            assert time.monotonic() < deadline, output(home)
            assert command.poll() is None, output(home)
            time.sleep(0.2)
        command.send_signal(signal.SIGINT)
        assert command.wait(120) == 130, output(home)
    states = [trial.state.name for trial in find_study(study_spec(params, "r04", home)).trials]
    assert sorted(states) == ["FAIL", "FAIL", "WAITING", "WAITING"]
    assert "Traceback" not in output(home)
