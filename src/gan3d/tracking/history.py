"""What MLflow knows of a training: its runs, found by any of their names, and their parameters, curves and pictures."""

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.default_context import DefaultRunContext
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from gan3d.tracking.delivery import LOCAL_TAG, resolve_run
from gan3d.tracking.entries import LOCAL
from gan3d.tracking.metric_names import logged_name
from gan3d.tracking.store import experiment_id

EVALUATE = "evaluate"  # tag `stage` of an evaluation; that of a training is a resolution, such as r16
TRAINING_RUN = "training_run"  # tag of an evaluation and of a version: the run that trained the final stage
GROWN_FROM = "parent_model_run"  # tag of a training: the run of the stage that it grew from
_STAGE = re.compile(r"r\d+")
_PICTURE = re.compile(r"(?P<key>.+?)[%+]step[%+](?P<step>\d+)[%+]timestamp[%+](?P<time>\d+)[%+].+\.png")


def find_training(client: MlflowClient, name: str) -> Run | None:
    """The newest training that goes by a name, of the highest resolution; None if there is none.

    Args:
        name: id or name of a run, or DVC's name of an experiment. A run may be a training, an evaluation, or the parent
            of both.
    """
    if re.fullmatch(r"[0-9a-f]{32}", name) or name.startswith(LOCAL):
        known = resolve_run(client, name)
        return None if known is None else _training_of(client, client.get_run(known))
    quoted = name.replace("'", "")
    for search in (f"tags.`dvc.exp_name` = '{quoted}'", f"attributes.run_name = '{quoted}'"):
        trainings = [t for run in _search(client, search) if (t := _training_of(client, run))]
        if trainings:
            return _finest(trainings)
    return None


def _training_of(client: MlflowClient, run: Run) -> Run | None:
    """The training that a run is, scores or contains."""
    if _STAGE.fullmatch(stage_of(run)):
        return run
    trained = run.data.tags.get(TRAINING_RUN)
    if trained:
        return find_training(client, trained)
    children = _search(client, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'")
    trainings = [child for child in children if _STAGE.fullmatch(stage_of(child))]
    if trainings:
        return _finest(trainings)
    return next(
        (t for child in children if TRAINING_RUN in child.data.tags and (t := _training_of(client, child))), None
    )


def _finest(trainings: Iterable[Run]) -> Run:
    """The newest of the highest resolution."""
    return max(trainings, key=lambda run: (int(stage_of(run)[1:]), run.info.start_time))


def stage_of(run: Run) -> str:
    """The stage that a run belongs to."""
    return run.data.tags.get("stage", "")


def chain(client: MlflowClient, training: Run) -> dict[str, Run]:
    """A training and those that it grew from, by stage, the coarsest first."""
    found = {stage_of(training): training}
    while parent := training.data.tags.get(GROWN_FROM):
        try:
            training = client.get_run(parent)
        except MlflowException:
            break
        if stage_of(training) in found:
            break
        found[stage_of(training)] = training
    return dict(reversed(found.items()))


def scores_of(client: MlflowClient, training: Run) -> list[dict[str, Any]]:
    """The rows of the newest evaluation of a training, as in `evaluation/table.json`; empty without one."""
    for name in filter(None, (training.info.run_id, training.data.tags.get(LOCAL_TAG))):
        for run in _search(client, f"tags.`{TRAINING_RUN}` = '{name}' and tags.stage = '{EVALUATE}'"):
            text = read_artifact(client, run, "table.json")
            if text is not None:
                return json.loads(text)
    return []


def params_of(run: Run) -> dict[str, str]:
    """A run's parameters."""
    return dict(run.data.params)


def curves_of(client: MlflowClient, run: Run, names: Iterable[str]) -> dict[str, tuple[list[float], list[float]]]:
    """Images and values of metrics, by what the training calls them; without those that the run lacks."""
    found = {}
    for name in names:
        key = logged_name(name)
        if key in run.data.metrics:
            history = sorted(client.get_metric_history(run.info.run_id, key), key=lambda metric: metric.step)
            found[name] = ([float(metric.step) for metric in history], [metric.value for metric in history])
    return found


def pictures_of(client: MlflowClient, run: Run) -> dict[tuple[str, int], str]:
    """Paths of a run's logged pictures by (key, images)."""
    newest: dict[tuple[str, int], tuple[int, str]] = {}
    for entry in client.list_artifacts(run.info.run_id, "images"):
        match = _PICTURE.fullmatch(Path(entry.path).name)
        if match:
            key = match["key"].replace("#", "/").replace("~", " "), int(match["step"])
            newest[key] = max(newest.get(key, (0, "")), (int(match["time"]), entry.path))
    return {key: path for key, (_, path) in newest.items()}


def read_artifact(client: MlflowClient, run: Run, path: str) -> bytes | None:
    """The content of a run's artifact; None if there is none."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return Path(client.download_artifacts(run.info.run_id, path, scratch)).read_bytes()
        except (MlflowException, OSError):
            return None


def log_page(client: MlflowClient, name: str, page: str, file: str, tags: Mapping[str, str]) -> str:
    """Log a page as a run of its own; returns the run's id."""
    tags = DefaultRunContext().tags() | tags  # alone: MLflow's other contexts import GitPython and IPython
    run = client.create_run(experiment_id(client), run_name=name, tags=tags).info.run_id
    client.log_text(run, page, file)
    client.set_terminated(run)
    return run


def _search(client: MlflowClient, filter_string: str) -> list[Run]:
    """Runs of the project, the newest first."""
    return list(client.search_runs([experiment_id(client)], filter_string, max_results=100))
