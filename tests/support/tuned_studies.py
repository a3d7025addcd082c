"""Sweeps in a small project, and what they leave in MLflow."""

import mlflow
from mlflow import MlflowClient
from optuna.trial import TrialState
from small_project import edit

from gan3d.tuning import sweep
from gan3d.tuning.study import PARENT_RUN
from gan3d.tuning.study_spec import study_spec

STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}


def tune(home, changes=(), name=None, lines=None):
    """Sweep r04, with changes in the section `tune`; `lines` gets what is logged."""
    params = edit(home, lambda tree: tree["tune"].update(changes))
    return sweep.run(study_spec(params, "r04", home, name=name), log=(lines if lines is not None else []).append)


def runs(home) -> dict[str, mlflow.entities.Run]:
    """Runs of the project's study by the number of their trial."""
    client = MlflowClient(f"sqlite:///{home.mlruns / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("gan3d").experiment_id])
    return {run.data.tags.get("trial", "parent"): run for run in found if "study" in run.data.tags}


def curve(home, run_id: str, name: str) -> dict[int, float]:
    """A metric's values by step."""
    client = MlflowClient(f"sqlite:///{home.mlruns / 'mlflow.db'}")
    return {metric.step: metric.value for metric in client.get_metric_history(run_id, name)}


def account(study, home):
    """Check that every trial is a run below the study's, with the values and the outcome that Optuna has."""
    found = runs(home)
    parent = found.pop("parent")
    assert parent.info.run_id == study.user_attrs[PARENT_RUN]
    assert {int(number) for number in found} == {trial.number for trial in study.trials}
    for trial in study.trials:
        run = found[str(trial.number)]
        assert run.info.status == STATUS[trial.state]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.params.items() >= {name: str(value) for name, value in trial.params.items()}.items()
        if trial.state != TrialState.FAIL:
            assert trial.user_attrs["run_id"] == run.info.run_id
    return parent, found
