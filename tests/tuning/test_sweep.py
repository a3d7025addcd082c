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
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import TrialState
from PIL import Image
from small_project import edit
from tuned_studies import account, curve, runs, tune

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.errors import UserError
from gan3d.stages import train as training
from gan3d.tuning import apply, report, sweep
from gan3d.tuning.gallery import FRAMES, SIZE, TURNTABLE, artifact_store
from gan3d.tuning.study import PARENT_RUN, find_study
from gan3d.tuning.study_spec import study_spec
from gan3d.tuning.trial import TrialValidation, frozen_trial
from gan3d.tuning.worker import Worker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tuned(template, tmp_path_factory):
    """A project after a sweep of four trials."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    root = tmp_path_factory.mktemp("swept") / "project"
    shutil.copytree(template, root)
    home, lines = Project(root, root), []
    return home, tune(home, lines=lines), lines


def test_optuna_and_mlflow_agree(tuned):
    home, study, lines = tuned
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
    assert study.trials[0].params == {"lr_g": 0.005, "batch": 8}  # of params.yaml
    parent, found = account(study, home)
    assert parent.info.status == "FINISHED"
    best = report.best(study)
    assert parent.data.tags["best.trial"] == str(best.number)
    assert float(parent.data.tags["best.lr_g"]) == best.params["lr_g"]
    assert parent.data.metrics["best/one_nna_cd"] == best.value
    assert lines[0] == "new study furniture-r04: 4 trials of 384 images"
    progress = lines[2::2]
    assert [line.split(",")[0] for line in progress] == [f"{n} of 4 trials" for n in range(1, 5)]
    assert f"best one_nna_cd {best.value:.4f} (trial {best.number})" in progress[-1]
    assert all(line.endswith(" left") for line in progress[:-1])
    assert not progress[-1].endswith("left")
    for number, run in found.items():
        assert run.data.metrics["evaluation/validation/one_nna_cd"] == pytest.approx(
            study.trials[int(number)].value, rel=1e-3
        )


def test_curves_and_contact_sheet_of_a_trial(tuned):
    home, study, _ = tuned
    client = MlflowClient(f"sqlite:///{home.mlruns / 'mlflow.db'}")
    run = study.trials[1].user_attrs["run_id"]
    assert [m.step for m in client.get_metric_history(run, "loss/discriminator")][-1] == 384
    assert [m.step for m in client.get_metric_history(run, "evaluation/validation/mmd_cd_x1e3")] == [128, 256, 384]
    assert list(study.trials[1].intermediate_values) == [128, 256, 384]
    sheets = [item.path for item in client.list_artifacts(run, "images") if item.path.endswith(".png")]
    assert len(sheets) == 2  # one per class
    assert all("384" in sheet for sheet in sheets)


def test_the_page_and_the_best_values_are_artifacts(tuned, tmp_path):
    home, study, _ = tuned
    client = MlflowClient(f"sqlite:///{home.mlruns / 'mlflow.db'}")
    page = client.download_artifacts(study.user_attrs[PARENT_RUN], report.PAGE, str(tmp_path))
    content = Path(page).read_text(encoding="utf-8")
    for title in ("1-NNA-CD of each trial", "What 1-NNA-CD depends on", "1-NNA-CD by lr_g", "1-NNA-CD during training"):
        assert title in content
    assert len(content) < 1_500_000
    for trial in study.trials:
        assert f'/runs/{trial.user_attrs["run_id"]}"' in content
    best = client.download_artifacts(study.user_attrs[PARENT_RUN], "best.json", str(tmp_path))
    assert json.loads(Path(best).read_text(encoding="utf-8"))["best"][0]["trial"] == report.best(study).number


def test_every_trial_has_turning_shapes_in_the_gallery(tuned):
    home, study, _ = tuned
    for trial in study.trials:
        (artifact,) = get_all_artifact_meta(trial, storage=study._storage)
        assert artifact.artifact_id == trial.user_attrs[TURNTABLE]
        assert artifact.mimetype == "image/gif"
        with Image.open(artifact_store(home.mlruns).open_reader(artifact.artifact_id)) as picture:
            assert picture.n_frames == FRAMES
            assert picture.size == (4 * SIZE, 2 * SIZE)


def test_a_finished_study_continues_only_with_more_trials(tuned):
    home, study, _ = tuned
    before = [trial.value for trial in study.trials]
    assert [trial.value for trial in tune(home).trials] == before
    more = tune(home, {"trials": 5})
    assert [trial.value for trial in more.trials][:4] == before
    assert len(more.trials) == 5
    account(more, home)


def test_a_changed_search_is_refused_and_keeps_its_trials(tuned):
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
        assert "start another study with --study NAME" in str(error.value)
        home.params.write_bytes(kept)
    with pytest.raises(UserError, match="other parameters of the stage have changed"):
        edit(home, lambda tree: tree["gan"].update(gamma=2.0)) and tune(home)
    edit(home, lambda tree: tree["gan"].update(gamma=1.0))
    assert len(tune(home).trials) == count


def test_the_best_values_are_written_to_params_yaml(tuned):
    home, _, _ = tuned
    params = edit(home, lambda tree: None)
    best = report.best(find_study(study_spec(params, "r04", home))).params
    sweep.apply_best(study_spec(params, "r04", home))
    assert {n: getattr(edit(home, lambda t: None).train.stages["r04"], n) for n in best} == best
    assert sweep.apply_best(study_spec(params, "r04", home)) == ""
    with pytest.raises(UserError, match="there is no study furniture-r08"):
        sweep.apply_best(study_spec(params, "r08", home))


def test_a_collapsed_trial_ends_at_once_with_its_reason(home):
    changes = {"space": {"lr_g": {"low": 1e-9, "high": 2e-9}}, "trials": 2}  # all samples stay empty
    lines: list[str] = []
    study = tune(home, changes, lines=lines)
    account(study, home)
    collapsed = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert len(collapsed) == 2
    for trial in collapsed:
        assert list(trial.intermediate_values) == [128]
        assert np.isnan(list(trial.intermediate_values.values())[-1])
        run = runs(home)[str(trial.number)]
        assert run.data.tags["reason"].split()[0] in ("Every", "All")
    assert not list(home.checkpoints.rglob("*.npz"))


def test_the_same_values_are_not_trained_twice(home):
    study = tune(home, {"space": {"batch": [8, 16]}, "trials": 5})
    duplicates = [trial for trial in study.trials if "same_as" in trial.user_attrs]
    assert len(duplicates) == 3
    for trial in duplicates:
        assert trial.value == study.trials[trial.user_attrs["same_as"]].value
    account(study, home)


def test_seconds_end_a_trial_at_a_report(home):
    study = tune(home, {"images": None, "seconds": 2.5, "trials": 2, "report": 256})
    account(study, home)
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    for trial in study.trials:
        assert 256 <= max(trial.intermediate_values) < 10_000
        run = trial.user_attrs["run_id"]
        scores = curve(home, run, "evaluation/validation/one_nna_cd")
        assert max(scores) == max(curve(home, run, "loss/discriminator"))
        assert scores[max(scores)] == pytest.approx(trial.value, rel=1e-3)  # four digits are logged
    assert not list(home.checkpoints.rglob("*.npz"))


def test_a_pruned_trial_keeps_its_last_scores_and_samples(home, monkeypatch):
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: trial.number == 1)
    study = tune(home, {"trials": 2})
    account(study, home)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    pruned = study.trials[1]
    run = pruned.user_attrs["run_id"]
    assert curve(home, run, "evaluation/validation/one_nna_cd") == pytest.approx(pruned.intermediate_values, rel=1e-3)
    assert max(curve(home, run, "loss/discriminator")) == 128
    client = MlflowClient(f"sqlite:///{home.mlruns / 'mlflow.db'}")
    assert any("128" in item.path for item in client.list_artifacts(run, "images"))


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
            sweep.apply_best(chosen)
    sweep.apply_best(chosen, front[-1].number)
    assert edit(home, lambda t: None).train.stages["r04"].batch == front[-1].params["batch"]


def test_a_trial_that_was_failed_by_another_worker_does_not_affect_later_ones(home, monkeypatch):
    """Its worker was suspended and took no heartbeat: the trial is failed at its first report, and goes on."""
    score = TrialValidation.__call__

    def failed_meanwhile(self, view):
        if self.trial.number == 1 and frozen_trial(self.trial).state == TrialState.RUNNING:
            self.trial.study.tell(1, state=TrialState.FAIL)
        return score(self, view)

    monkeypatch.setattr(TrialValidation, "__call__", failed_meanwhile)
    study = tune(home, {"trials": 4})
    states = {trial.number: trial.state for trial in study.get_trials()}
    assert states.pop(1) == TrialState.FAIL
    assert set(states.values()) <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert {run.info.status for run in runs(home).values()} <= {"FINISHED", "KILLED", "FAILED"}
    assert mlflow.active_run() is None


def test_an_interrupted_trial_is_retried_from_its_checkpoint(home, monkeypatch):
    """Interrupted at its second report, in a real sweep."""
    params = edit(home, lambda tree: tree["tune"].update(trials=2))
    score = TrialValidation.__call__

    def interrupted(self, view):
        if self.trial.number == 0 and view.images >= 256:
            raise KeyboardInterrupt
        return score(self, view)

    monkeypatch.setattr(TrialValidation, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Worker(study_spec(params, "r04", home), [].append).run()
    found = runs(home)
    assert found["parent"].info.status == "KILLED"
    assert found["0"].info.status == "KILLED"
    study = sweep.run(study_spec(params, "r04", home), log=[].append)
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


def test_a_stopped_trial_continues_where_it_was_stopped_to_the_same_score(home):
    """Stopped between two reports."""
    params = edit(home, lambda tree: tree["tune"].update(trials=1))
    asked = iter(range(1000))
    with pytest.raises(KeyboardInterrupt):
        Worker(study_spec(params, "r04", home), [].append, should_stop=lambda: next(asked) > 10).run()
    study = sweep.run(study_spec(params, "r04", home), log=[].append)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert study.trials[1].user_attrs["continued_at"] % 128 not in (0, 16)
    whole = sweep.run(study_spec(params, "r04", home, name="whole"), log=[].append)
    assert whole.trials[0].params == study.trials[1].params
    reports = whole.trials[0].intermediate_values  # may contain NaN
    np.testing.assert_equal(reports, study.trials[1].intermediate_values)


def test_a_trial_that_was_trained_to_its_end_is_scored_by_its_retry(home, monkeypatch):
    """Its worker is lost between the last checkpoint and the result."""
    from gan3d.tuning import trial

    train = trial.train

    def lost(*arguments):
        train(*arguments)
        raise KeyboardInterrupt

    params = edit(home, lambda tree: tree["tune"].update(trials=1))
    monkeypatch.setattr(trial, "train", lost)
    with pytest.raises(KeyboardInterrupt):
        Worker(study_spec(params, "r04", home), [].append).run()
    monkeypatch.setattr(trial, "train", train)
    study = sweep.run(study_spec(params, "r04", home), log=[].append)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    retry = study.trials[1]
    assert retry.user_attrs["continued_at"] == 384
    assert retry.value == study.trials[0].intermediate_values[384]
    assert curve(home, retry.user_attrs["run_id"], "evaluation/validation/one_nna_cd")[384] == pytest.approx(
        retry.value, rel=1e-3
    )


def test_a_study_whose_trials_all_fail_stops(home, monkeypatch):
    from gan3d.tuning import trial

    def broken(*_):
        raise MemoryError("no memory left")

    monkeypatch.setattr(trial, "train", broken)
    with pytest.raises(UserError, match=r"first 3 trials of furniture-r04 all failed \(MemoryError: no memory left\)"):
        tune(home, {"trials": 9})


def test_all_stages_are_tuned_and_trained(home):
    """Each stage grows from the previous one, trained with its best values."""
    edit(home, lambda tree: tree["tune"].update(trials=2))

    def train(target, folder):
        training.run(edit(home, lambda tree: None), target.removeprefix("train@"), home)

    lines: list[str] = []
    sweep.tune_all(home, None, 1, None, lines.append, train)
    params = edit(home, lambda tree: None)
    for stage in ("r04", "r08"):
        best = report.best(find_study(study_spec(params, stage, home)))
        assert best.params == {n: getattr(params.train.stages[stage], n) for n in best.params}
        assert model_file.load(home.model(stage)).architecture.resolution == int(stage[1:])
    sweep.tune_all(home, None, 1, None, lines.append, lambda *_: None)
    assert len(find_study(study_spec(params, "r08", home)).trials) == 2
    assert apply.write(home.params, "r08", best.params) == ""
