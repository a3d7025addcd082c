"""From the first command of a new project on: whatever is killed, the same command again ends as if nothing was."""

import random
import signal
import subprocess

import pytest
from mlflow import MlflowClient

COMMANDS = (("prepare",), ("train",), ("evaluate",), ("register",))


def kill_at(project, command, seconds: float) -> bool:
    """Whether the command was still at work."""
    process = subprocess.Popen(
        ("gan3d", *command), cwd=project.root, env=project.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


@pytest.mark.full
@pytest.mark.parametrize("kills", [1, 5])
def test_every_stage_goes_on_after_a_kill(new_clone, tmp_path, kills):
    project, chance, killed = new_clone(tmp_path / "project"), random.Random(kills), 0
    for command in COMMANDS:
        for _ in range(kills):
            killed += kill_at(project, command, chance.uniform(2.0, 15.0))
        done = project.run("gan3d", *command)
        assert "Traceback" not in done.stderr, command
    assert killed
    assert not list((project.root / "data").glob(".voxels-*"))
    project.run("gan3d", "sync")
    client = MlflowClient(f"sqlite:///{project.root / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("gan3d").experiment_id
    states = {run.info.run_name: set() for run in client.search_runs([experiment])}
    for run in client.search_runs([experiment]):
        states[run.info.run_name].add(run.info.status)
    assert all("FINISHED" in found and found <= {"FINISHED", "KILLED"} for found in states.values()), states
    (version,) = client.search_model_versions("name = 'furniture'")
    assert "content" in version.tags
    assert not [path for path in (project.root / "mlruns" / "outbox").glob("*") if path.is_dir()]
