"""The experiment that a stage belongs to, as MLflow shows it."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import yaml

from gan3d.config.project import Project
from gan3d.config.schema import Params, resolution_of
from gan3d.errors import UserError, short_list
from gan3d.metrics.rows import ClassScores
from gan3d.metrics.table import BY_KEY, PUBLISHED, SCORES
from gan3d.tracking.experiment import find_experiment
from gan3d.tracking.experiment_run import ExperimentRun
from gan3d.tracking.metric_names import SCORES as GROUP
from gan3d.tracking.provenance import provenance_tags


def experiment_run(params: Params, project: Project, stage: str) -> ExperimentRun | None:
    """The run of the `dvc repro` or `dvc exp run` that started this stage; None for a stage started by hand."""
    settings = yaml.safe_load(project.params.read_text(encoding="utf-8")) | {"name": params.name}
    with contextlib.suppress(OSError, UserError):  # the stage's own run warns of a store that cannot be written
        found = find_experiment(project.mlruns, project.work, settings)
        if found is None:
            return None
        final = params.train.stages[params.final]
        main = {name: getattr(final, name) for name in ("lr_g", "lr_d", "batch")}
        tags = provenance_tags(project.work) | {"name": params.name}
        return ExperimentRun(found, stage, settings, main, tags)
    return None


def run_name(params: Params, stage: str, experiment: ExperimentRun | None) -> str:
    """The name of a stage's run: below an experiment's, that of the stage alone."""
    return stage if experiment is not None else f"{params.name} {stage}"


def trained_run(project: Project, stage: str) -> str:
    """Id of the run that trained a stage; empty if its file is missing."""
    return str(run_record(project, stage).get("run_id", ""))


def run_record(project: Project, stage: str) -> dict[str, Any]:
    """What a stage has written about its run; empty if its file is missing or damaged."""
    try:
        record = json.loads(project.run_file(stage).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def images_seen(project: Project, stages: Sequence[str]) -> int:
    """Images that the stages have seen together."""
    return sum(int(run_record(project, stage).get("images", 0)) for stage in stages)


def what(params: Params, classes: Sequence[str]) -> str:
    """What is trained, in a sentence."""
    named = short_list(list(classes), 8)
    return f"A generator of {resolution_of(params.final)}³ voxels ({named}), grown by {', '.join(params.train.stages)}."


def score_rows(mean: ClassScores) -> list[list[str]]:
    """The main mean scores for people: name, value, value of real shapes, which values are better."""
    rows = []
    for score in PUBLISHED:
        value, (real, _) = mean.generated.get(score.key), score.real(mean.generated, mean.floor)
        if value is not None:
            rows.append([score.heading, score.text(value), score.text(real), score.guidance])
    return rows


def score_metrics(scores: ClassScores, group: str = GROUP, main: bool = False) -> dict[str, float]:
    """Scores as metrics of MLflow with the digits that are known, the floor of 1-NNA-CD beside it.

    Args:
        main: only those of `evaluation/scores.json`.
    """
    chosen = [score for score in SCORES if not main or score.summary is not None]
    values = {score.key: (scores.generated.get(score.key), score.digits) for score in chosen}
    values["one_nna_cd_floor"] = scores.floor.get("one_nna_cd"), BY_KEY["one_nna_cd"].digits
    return {f"{group}/{key}": round(value, digits) for key, (value, digits) in values.items() if value is not None}
