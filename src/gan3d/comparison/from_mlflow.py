"""Subjects from MLflow: a training with its evaluation, and a registered version."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from gan3d.comparison.subject import CURVES, Subject
from gan3d.metrics.rows import MEAN
from gan3d.metrics.table import PUBLISHED
from gan3d.registry.models import model_folder
from gan3d.tracking import history

STAGE_PARAMS = ("width", "widths", "batch", "lr_g", "lr_d", "fade_in", "stabilise", "parameters_g", "parameters_d")


def with_training(subject: Subject, client: MlflowClient) -> Subject:
    """A subject with what MLflow has of the run that trained it, and the subject lacks."""
    training = history.find_training(client, subject.facts.get("run", "none"))
    if training is None:
        return subject
    return replace(
        subject,
        pictures=subject.pictures or _pictures(client, training),
        rows=subject.rows or history.scores_of(client, training),
    )


def training_subject(client: MlflowClient, training: Run, name: str, mlruns: Path) -> Subject:
    """A training run, with the runs that it grew from and its evaluation."""
    stages = history.chain(client, training)
    return Subject(
        name,
        params=_params(stages),
        facts=_facts(training),
        rows=history.scores_of(client, training),
        curves={stage: history.curves_of(client, run, CURVES) for stage, run in stages.items()},
        pictures=_pictures(client, training),
        model=partial(model_folder, f"runs:/{training.info.run_id}/model", mlruns),
    )


def version_subject(client: MlflowClient, model: str, number: int, mlruns: Path) -> Subject:
    """A registered version, with the training that it comes from, if MLflow still has it."""
    version = client.get_model_version(model, str(number))
    name, tags = f"version {number}", version.tags
    training = history.find_training(client, tags.get(history.TRAINING_RUN, ""))
    known = Subject(name) if training is None else training_subject(client, training, name, mlruns)
    facts = {"trained from": tags.get("name", ""), "commit": tags.get("git.commit", "")[:12]}
    facts |= {"promotion": ": ".join(tags[key] for key in ("promotion", "promotion_reason") if key in tags)}
    return Subject(
        name,
        params=known.params,
        facts=dict(known.facts) | {key: value for key, value in facts.items() if value},
        rows=known.rows or _tagged_rows(version),
        curves=known.curves,
        pictures=known.pictures,
        model=partial(model_folder, f"models:/{model}/{number}", mlruns),
    )


def _pictures(client: MlflowClient, training: Run) -> dict[tuple[str, int], Callable[[], bytes | None]]:
    """Readers of a training's pictures, by key and images."""
    found = history.pictures_of(client, training)
    return {key: partial(history.read_artifact, client, training, path) for key, path in found.items()}


def _params(stages: dict[str, Run]) -> dict[str, str]:
    """Parameters of all stages, under the names that params.yaml gives them."""
    found: dict[str, str] = {}
    for stage, run in stages.items():
        for name, value in history.params_of(run).items():
            place = f"train.stages.{stage}.{name}" if name in STAGE_PARAMS else f"gan.{name}"
            found["seed" if name == "seed" else place] = value
    return found


def _facts(training: Run) -> dict[str, str]:
    tags = training.data.tags
    facts = {
        "run": training.info.run_id,
        "experiment": tags.get("dvc.exp_name", ""),
        "commit": tags.get("git.commit", "")[:12],
        "uncommitted changes": {"true": "yes", "false": "no"}.get(tags.get("git.dirty", ""), ""),
        "training shapes": tags.get("dataset_fingerprint", ""),
    }
    return {name: value for name, value in facts.items() if value}


def _tagged_rows(version: ModelVersion) -> list[dict[str, Any]]:
    """The mean's rows from a version's tags, which have no intervals and no floor."""
    tags = version.tags
    means = {score.key: float(tags[score.key]) for score in PUBLISHED if score.key in tags}
    row = {"class": MEAN, "resolution": int(tags.get("resolution", 0))}
    return [{"kind": "generated", **row, **means}, {"kind": "floor", **row}] if means else []
