"""Sweeps with real studies, real training and a real MLflow store, in this process."""

import json
import os
import shutil
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from small_project import edit

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.errors import UserError
from gan3d.stages import train as training
from gan3d.tuning import apply, report, space, sweep
from gan3d.tuning.study import PARENT, find_study
from gan3d.tuning.study_spec import study_spec
from gan3d.tuning.worker import Worker

pytestmark = pytest.mark.slow

STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}


def tune(home, changes=(), name=None, said=None):
    params = edit(home, lambda tree: tree["tune"].update(changes))
    return sweep.run(study_spec(params, "r04", home, name=name), say=(said if said is not None else []).append)


def runs(home) -> dict[str, mlflow.entities.Run]:
    """Runs of the project's study by the number of their trial."""
    client = MlflowClient(f"sqlite:///{home.mlruns / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("gan3d").experiment_id])
    return {run.data.tags.get("trial", "parent"): run for run in found if "study" in run.data.tags}


def account(study, home):
    """Every trial is in MLflow, nested below the study's run, and ended as it ended in Optuna."""
    found = runs(home)
    parent = found.pop("parent")
    assert parent.info.run_id == study.user_attrs[PARENT]
    assert {int(number) for number in found} == {trial.number for trial in study.trials}
    for trial in study.trials:
        run = found[str(trial.number)]
        assert run.info.status == STATUS[trial.state]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params.items() >= {n: str(v) for n, v in space.trained(trial.params).items()}.items()
        if trial.state != TrialState.FAIL:
            assert trial.user_attrs["run_id"] == run.info.run_id
    return parent, found


@pytest.fixture(scope="module")
def tuned(template, tmp_path_factory):
    """A project after a sweep of four trials."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    root = tmp_path_factory.mktemp("swept") / "project"
    shutil.copytree(template, root)
    home, said = Project(root, root), []
    return home, tune(home, said=said), said


def test_trials_and_runs_tell_the_same(tuned):
    home, study, said = tuned
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    assert study.trials[0].params == {"lr_g": 0.005, "batch": 8}  # of params.yaml
    parent, found = account(study, home)
    assert parent.info.status == "FINISHED"
    best = report.best(study)
    assert parent.data.tags["best.trial"] == str(best.number)
    assert float(parent.data.tags["best.lr_g"]) == space.trained(best.params)["lr_g"]
    assert parent.data.metrics["best/one_nna_cd"] == best.value
    assert len(said) == 4
    for number, run in found.items():
        assert run.data.metrics["validation/one_nna_cd"] == study.trials[int(number)].value


def test_curves_and_pictures_of_a_trial(tuned):
    home, study, _ = tuned
    client = MlflowClient(f"sqlite:///{home.mlruns / 'mlflow.db'}")
    run = study.trials[1].user_attrs["run_id"]
    assert [m.step for m in client.get_metric_history(run, "loss_d")][-1] == 384
    assert [m.step for m in client.get_metric_history(run, "validation/mmd_cd_x1e3")] == [128, 256, 384]
    assert list(study.trials[1].intermediate_values) == [128, 256, 384]
    pictures = [item.path for item in client.list_artifacts(run, "images") if item.path.endswith(".png")]
    assert len(pictures) == 1
    assert "384" in pictures[0]


def test_the_page_and_the_best_values_are_artifacts(tuned, tmp_path):
    home, study, _ = tuned
    client = MlflowClient(f"sqlite:///{home.mlruns / 'mlflow.db'}")
    page = client.download_artifacts(study.user_attrs[PARENT], report.PAGE, str(tmp_path))
    content = Path(page).read_text(encoding="utf-8")
    for title in ("History of one_nna_cd", "What one_nna_cd depends on", "Slices of one_nna_cd"):
        assert title in content
    assert "cdn.plot.ly" not in content.split("<body>")[0]
    assert content.count("Plotly.newPlot") >= 4
    best = client.download_artifacts(study.user_attrs[PARENT], "best.json", str(tmp_path))
    assert json.loads(Path(best).read_text(encoding="utf-8"))["best"][0]["trial"] == report.best(study).number


def test_a_finished_study_is_not_begun_again_and_a_larger_one_goes_on(tuned):
    home, study, _ = tuned
    before = [trial.value for trial in study.trials]
    assert [trial.value for trial in tune(home).trials] == before
    more = tune(home, {"trials": 5})
    assert [trial.value for trial in more.trials][:4] == before
    assert len(more.trials) == 5
    account(more, home)


def test_a_changed_search_is_refused_and_nothing_is_lost(tuned):
    home, _, _ = tuned
    count = len(find_study(study_spec(edit(home, lambda tree: None), "r04", home)).trials)
    for changes, words in (
        ({"space": {"lr_g": {"low": 1e-4, "high": 2e-2, "log": True}, "batch": [8, 16]}}, r"space\.lr_g was"),
        ({"images": 256}, "images was 384 and is 256"),
        ({"objective": "jsd"}, "objective was"),
    ):
        kept = home.params.read_bytes()
        with pytest.raises(UserError, match=words) as error:
            tune(home, changes)
        assert "begin another study with --study NAME" in str(error.value)
        home.params.write_bytes(kept)
    with pytest.raises(UserError, match="other parameters of the stage have changed"):
        edit(home, lambda tree: tree["gan"].update(gamma=2.0)) and tune(home)
    edit(home, lambda tree: tree["gan"].update(gamma=1.0))
    assert len(tune(home).trials) == count


def test_the_best_values_go_into_params_yaml(tuned):
    home, _, _ = tuned
    params = edit(home, lambda tree: None)
    best = space.trained(report.best(find_study(study_spec(params, "r04", home))).params)
    sweep.take_over(study_spec(params, "r04", home))
    assert {n: getattr(edit(home, lambda t: None).train.stages["r04"], n) for n in best} == best
    assert sweep.take_over(study_spec(params, "r04", home)) == ""
    with pytest.raises(UserError, match="there is no study furniture-r08"):
        sweep.take_over(study_spec(params, "r08", home))


def test_a_collapsed_trial_ends_at_once_with_its_reason(home):
    changes = {"space": {"lr_g": {"low": 1e-9, "high": 2e-9}}, "trials": 2}  # it stays as it began: empty
    said: list[str] = []
    study = tune(home, changes, said=said)
    account(study, home)
    collapsed = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert len(collapsed) == 2
    for trial in collapsed:
        assert list(trial.intermediate_values) == [128]
        assert np.isnan(list(trial.intermediate_values.values())[-1])
        run = runs(home)[str(trial.number)]
        assert run.data.tags["reason"].split()[0] in ("Every", "All")
    assert not list(home.checkpoints.rglob("*.npz"))


def test_no_values_are_trained_twice(home):
    study = tune(home, {"space": {"batch": [8, 16]}, "trials": 5})
    twins = [trial for trial in study.trials if "same_as" in trial.user_attrs]
    assert len(twins) == 3
    for trial in twins:
        assert trial.value == study.trials[trial.user_attrs["same_as"]].value
    account(study, home)


def test_seconds_end_a_trial(home):
    study = tune(home, {"images": None, "seconds": 2.5, "trials": 2, "report": 256})
    account(study, home)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    assert all(256 <= max(trial.intermediate_values) < 10_000 for trial in study.trials)


def test_several_objectives(home, tmp_path):
    study = tune(home, {"objective": ["one_nna_cd", "cov_cd"], "pruner": "halving"})
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    parent, _ = account(study, home)
    client = MlflowClient(f"sqlite:///{home.mlruns / 'mlflow.db'}")
    page = client.download_artifacts(parent.info.run_id, report.PAGE, str(tmp_path))
    assert "Pareto front" in Path(page).read_text(encoding="utf-8")
    front = study.best_trials
    chosen = study_spec(edit(home, lambda tree: None), "r04", home)
    if len(front) > 1:
        with pytest.raises(UserError, match="choose one with --trial NUMBER"):
            sweep.take_over(chosen)
    sweep.take_over(chosen, front[-1].number)
    assert edit(home, lambda t: None).train.stages["r04"].batch == front[-1].params["batch"]


def test_a_trial_that_others_took_for_dead_harms_no_later_one(home, monkeypatch):
    """As a worker that slept: at the first look its trial is told to have failed, and goes on."""
    from gan3d.tuning.trial import TrialCallback, frozen_of

    plain = TrialCallback.on_samples

    def told(self, images, voxels, labels):
        if self.trial.number == 1 and frozen_of(self.trial).state == TrialState.RUNNING:
            self.trial.study.tell(1, state=TrialState.FAIL)
        plain(self, images, voxels, labels)

    monkeypatch.setattr(TrialCallback, "on_samples", told)
    study = tune(home, {"trials": 4})
    states = {trial.number: trial.state for trial in study.get_trials()}
    assert states.pop(1) == TrialState.FAIL
    assert set(states.values()) <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert {run.info.status for run in runs(home).values()} <= {"FINISHED", "KILLED", "FAILED"}
    assert mlflow.active_run() is None


def test_an_interrupted_trial_is_queued_again_and_takes_up_its_checkpoint(home, monkeypatch):
    """The interrupt comes where the second look would be; what is interrupted is real."""
    from gan3d.tuning.trial import TrialCallback

    params = edit(home, lambda tree: tree["tune"].update(trials=2))
    looks = TrialCallback.on_samples

    def interrupted(self, images, voxels, labels):
        if self.trial.number == 0 and images >= 256:
            raise KeyboardInterrupt
        looks(self, images, voxels, labels)

    monkeypatch.setattr(TrialCallback, "on_samples", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Worker(study_spec(params, "r04", home), [].append).work()
    found = runs(home)
    assert found["parent"].info.status == "KILLED"
    assert found["0"].info.status == "KILLED"
    study = sweep.run(study_spec(params, "r04", home), say=[].append)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    again = study.trials[1]
    assert again.params == study.trials[0].params
    assert optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history(again) == [0]
    assert again.user_attrs["continued_at"] == 128
    assert list(again.intermediate_values) == [128, 256, 384]
    found = runs(home)
    assert found["parent"].info.status == "FINISHED"
    assert found["1"].data.tags["retry_of"] == "0"
    assert {run.info.status for run in found.values()} == {"FINISHED", "KILLED"}


def test_a_broken_trial_fails_in_both_and_a_broken_study_stops(home, monkeypatch):
    from gan3d.tuning import trial

    def broken(*_):
        raise MemoryError("no memory left")

    monkeypatch.setattr(trial, "train", broken)
    with pytest.raises(UserError, match=r"first 3 trials of furniture-r04 all failed \(MemoryError: no memory left\)"):
        tune(home, {"trials": 9})


def test_up_the_pyramid(home):
    """Each stage grows from what the one before was trained to with its best values."""
    edit(home, lambda tree: tree["tune"].update(trials=2))

    def train(target, folder):
        training.run(edit(home, lambda tree: None), target.removeprefix("train@"), home)

    said: list[str] = []
    sweep.pyramid(home, None, 1, None, said.append, train)
    params = edit(home, lambda tree: None)
    for stage in ("r04", "r08"):
        best = report.best(find_study(study_spec(params, stage, home)))
        assert space.trained(best.params) == {n: getattr(params.train.stages[stage], n) for n in best.params}
        assert model_file.load(home.model(stage)).architecture.resolution == int(stage[1:])
    sweep.pyramid(home, None, 1, None, said.append, lambda *_: None)
    assert len(find_study(study_spec(params, "r08", home)).trials) == 2
    assert apply.write(home.params, "r08", space.trained(best.params)) == ""
