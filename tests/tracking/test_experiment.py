"""The stages of one `dvc repro` or `dvc exp run` find their common run, and no other invocation finds it."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from gan3d.tracking.experiment import changes, experiment_title, find_experiment
from gan3d.tracking.experiment_run import ExperimentRun
from gan3d.tracking.links import NOTE, resolve_links, run_link
from gan3d.tracking.run import TrackedRun
from gan3d.tracking.store import connect, experiment_id

SETTINGS = {"name": "mine", "seed": 0, "train": {"stages": {"r04": {"lr_g": 0.005}}}, "logging": {"metrics_every": 9}}
FIND = (
    "import json, sys; from pathlib import Path; from gan3d.tracking.experiment import find_experiment;"
    "found = find_experiment(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]));"
    "print(found.id if found else 'none')"
)


@pytest.fixture
def work(tmp_path):
    """A checkout with committed parameters."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(SETTINGS))
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *who, *command], cwd=folder, check=True)
    return folder


def stage(mlruns, work, settings=SETTINGS, **environment):
    """The experiment's id as a stage sees it that this process starts, through a shell like DVC's."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    command = ["sh", "-c", '"$@"', "sh", sys.executable, "-c", FIND, mlruns, work, json.dumps(settings)]
    done = subprocess.run(command, env=env | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_stage_that_is_started_by_hand_has_none(tmp_path, work):
    assert stage(tmp_path, work) == "none"


def test_stages_of_one_invocation_share_it(tmp_path, work):
    assert stage(tmp_path, work, DVC_STAGE="prepare") == stage(tmp_path, work, DVC_STAGE="train@r04")


def test_other_parameters_or_another_name_make_another(tmp_path, work):
    other = SETTINGS | {"seed": 1}
    found = [
        stage(tmp_path, work, DVC_STAGE="train@r04"),
        stage(tmp_path, work, other, DVC_STAGE="train@r04"),
        stage(tmp_path, work, DVC_STAGE="train@r04", DVC_EXP_NAME="a", DVC_EXP_BASELINE_REV="HEAD"),
        stage(tmp_path, work, DVC_STAGE="train@r04", DVC_EXP_NAME="b", DVC_EXP_BASELINE_REV="HEAD"),
    ]
    assert len(set(found)) == 4
    quiet = SETTINGS | {"logging": {"metrics_every": 1}}
    assert stage(tmp_path, work, quiet, DVC_STAGE="r", DVC_EXP_NAME="b", DVC_EXP_BASELINE_REV="HEAD") == found[3]


def test_an_interrupted_one_goes_on_and_a_complete_one_does_not(tmp_path, work, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "train@r04")
    experiment = find_experiment(tmp_path, work, SETTINGS)
    record = json.loads(experiment.path.read_text())
    experiment.path.write_text(json.dumps(record | {"process": [1, 0.0]}))
    assert find_experiment(tmp_path, work, SETTINGS).id == experiment.id
    experiment.tell(stages={"register": {"run": "", "status": "FINISHED"}})
    assert find_experiment(tmp_path, work, SETTINGS).id == experiment.id
    record = json.loads(experiment.path.read_text())
    experiment.path.write_text(json.dumps(record | {"process": [1, 0.0]}))
    assert find_experiment(tmp_path, work, SETTINGS).id != experiment.id


def test_what_is_changed_names_the_run_without_secrets():
    new = {"train": {"stages": {"r04": {"lr_g": 0.003}}}, "data": {"source": "https://ann:secret@host/x?sig=1234567"}}
    changed = changes(SETTINGS, new)
    assert changed["r04.lr_g"] == (0.005, 0.003)
    assert "secret" not in str(changed)
    assert "1234567" not in str(changed)
    assert experiment_title("mine", "", {"r04.lr_g": (0.005, 0.003)}, "abc") == "mine r04.lr_g=0.003"
    assert experiment_title("mine", "brave-fox", changed, "abc") == "mine brave-fox"
    assert experiment_title("mine", "", {}, "0123456789") == "mine 0123456"


def test_stages_are_children_with_scores_pictures_and_links(tmp_path, work, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_STAGE", "train@r04")
    mlruns = tmp_path / "mlruns"
    client = connect(mlruns)

    def tracked(name):
        found = find_experiment(mlruns, work, SETTINGS | {"seed": 3})
        part = ExperimentRun(found, name, SETTINGS | {"seed": 3}, {"lr_g": 0.005}, {"name": "mine"})
        return part, TrackedRun(client, mlruns, name, {}, {}, experiment=part)

    part, run = tracked("r04")
    part.tell(what="A generator.")
    run.end()
    part, late = tracked("evaluate")
    part.put_metrics([{"images": 0, "evaluation/one_nna_cd": 0.61}])
    late.end("FAILED")
    runs = {found.info.run_name: found for found in client.search_runs([experiment_id(client)])}
    assert set(runs) == {"mine seed=3", "r04", "evaluate"}
    parent = runs["mine seed=3"]
    assert {runs[name].data.tags["mlflow.parentRunId"] for name in ("r04", "evaluate")} == {parent.info.run_id}
    assert parent.info.status == "FAILED"
    assert parent.data.metrics == {"evaluation/one_nna_cd": 0.61}
    assert next(iter(parent.data.params.items())) == ("seed", "3")
    note = parent.data.tags[NOTE]
    assert note.startswith("A generator.")
    assert f"](#/experiments/{experiment_id(client)}/runs/{runs['r04'].info.run_id})" in note
    assert not [path for path in (mlruns / "outbox").iterdir() if path.is_dir()]


DIES = """
import os, sys, yaml
from pathlib import Path
from gan3d.tracking.experiment import find_experiment
from gan3d.tracking.experiment_run import ExperimentRun
from gan3d.tracking.run import TrackedRun
from gan3d.tracking.store import connect
mlruns, work = map(Path, sys.argv[1:3])
settings = yaml.safe_load((work / "params.yaml").read_text())
part = ExperimentRun(find_experiment(mlruns, work, settings), "r04", settings, {}, {})
run = TrackedRun(connect(mlruns), mlruns, "r04", {}, {}, experiment=part)
if sys.argv[3] == "late":
    run.wait_for_start()
os._exit(9)
"""


@pytest.mark.parametrize("moment", ["early", "late"])
def test_a_stage_that_dies_ends_its_experiment_too(tmp_path, work, monkeypatch, moment):
    mlruns = tmp_path / "mlruns"
    env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")} | {"DVC_STAGE": "r04"}
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = connect(mlruns)
    subprocess.run([sys.executable, "-c", DIES, mlruns, work, moment], env=env)
    TrackedRun(client, mlruns, "next", {}, {}).end()
    runs = {found.info.run_name: found.info.status for found in client.search_runs([experiment_id(client)])}
    assert runs.pop("next") == "FINISHED"
    assert set(runs.values()) == {"KILLED"}
    assert len(runs) == 2


def test_links_are_resolved_or_dropped():
    text = f"from {run_link('r08', 'local-1')} and {run_link('r04', 'gone')}"
    resolved = resolve_links(text, "7", {"local-1": "abc"}.get)
    assert resolved == "from [r08](#/experiments/7/runs/abc) and r04"
    assert run_link("r08", "") == "r08"
