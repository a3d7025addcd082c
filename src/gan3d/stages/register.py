"""Stage `register`: the final generator becomes a version in the registry, and champion if it is better."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from filelock import FileLock
from mlflow import MlflowClient

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.config.schema import Params, resolution_of
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.inversion.encoder_file import belongs
from gan3d.metrics import protocol
from gan3d.metrics.evaluation import SAMPLE_SEED
from gan3d.metrics.rows import read_rows, without_mean, write_json
from gan3d.registry.aliases import adopt
from gan3d.registry.log import Facts, data_facts, log_candidate, published_means
from gan3d.registry.models import open_sampler
from gan3d.registry.promotion import Decision, promote
from gan3d.registry.serving_check import check_serving
from gan3d.stages.experiment import experiment_run, run_name, run_record
from gan3d.tracking.delivery import resolve_run, sync
from gan3d.tracking.experiment_run import ExperimentRun
from gan3d.tracking.limits import bounded, seconds
from gan3d.tracking.provenance import provenance_tags
from gan3d.tracking.store import connect, store_uri


def run(params: Params, project: Project) -> str:
    """Register the final stage's model, decide on the champion, and write `runs/register.json`.

    Returns:
        The outcome as a sentence.

    Raises:
        UserError: if the model or its scores are missing, or MLflow cannot be reached.
    """
    candidate = facts(params, project)
    experiment = experiment_run(params, project, "register")
    with bounded(store_uri(project.mlruns)):
        client = connect(project.mlruns)
        project.mlruns.mkdir(parents=True, exist_ok=True)
        with FileLock(project.mlruns / ".register.lock"):  # two commands at once make one version
            sync(client, project.mlruns / "outbox")
            if candidate.training_run:
                candidate = replace(candidate, training_run=resolve_run(client, candidate.training_run))
            with part_of(experiment, client, project) as parent:
                name = run_name(params, "register", experiment)
                adopt(client, params.name)
                version = log_candidate(
                    client,
                    params.name,
                    project.model(params.final),
                    candidate,
                    mlruns=project.mlruns,
                    parent=parent,
                    name=name,
                )
                check_serving(params.name, version)
                decision = promote(
                    client, params.name, version, params.promote.margin, lambda other: rescore(other, params, project)
                )
                if experiment is not None:
                    experiment.tell(version=f"{version_link(params.name, version)} {outcome(decision)}.")
    record = {"model": params.name, "version": version, "champion": decision.promoted, "reason": decision.reason}
    write_json(project.run_file("register"), record)
    return sentence(params.name, version, decision)


@contextmanager
def part_of(experiment: ExperimentRun | None, client: MlflowClient, project: Project) -> Iterator[str | None]:
    """Keep the experiment's run open; gives its id in MLflow, None without an experiment."""
    if experiment is None:
        yield None
        return
    box = experiment.open(client, project.mlruns / "outbox")
    status = "FAILED"
    try:
        box.wait_for_start(seconds() / 2)
        yield box.run_id
        status = "FINISHED"
    finally:
        experiment.end(status, "")
        box.close(seconds() / 2)


def version_link(model: str, version: int) -> str:
    """A link to a version's page."""
    return f"Registered as [{model} version {version}](#/models/{model}/versions/{version}), which"


def facts(params: Params, project: Project) -> Facts:
    """What the registry and the model card say about the candidate."""
    rows = without_mean(read_rows(project.table))
    trained = {stage: run_record(project, stage) for stage in params.train.chain(params.final)}
    training = [
        {"stage": stage, "images": record.get("images")}
        | {name: getattr(params.train.stages[stage], name) for name in ("width", "batch", "lr_g", "lr_d", "fade_in")}
        | {name: getattr(params.recipe(stage), name) for name in ("loss", "gamma")}
        for stage, record in trained.items()
    ]
    return Facts(
        data=data_facts(
            VoxelDataset(project.voxels, params.gan.conditional), resolution_of(params.final), source_of(project)
        ),
        training=training,
        scores=rows,
        tags=provenance_tags(project.work) | {"name": params.name, "stage": params.final},
        training_run=trained[params.final].get("run_id"),
        backend=params.train.backend,
        encoder=encoder_of(params.final, project),
    )


def encoder_of(stage: str, project: Project) -> Path | None:
    """The encoder that `gan3d encode` made of a stage's model, if it made one of just this model."""
    path = project.encoder(stage)
    return path if path.is_file() and belongs(path, model_file.load(project.model(stage))) else None


def source_of(project: Project) -> str:
    """The data source, without secrets, as it was when the data was prepared."""
    try:
        return json.loads(project.source.read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, KeyError, TypeError):
        return "not recorded"


def rescore(version: int, params: Params, project: Project) -> float | None:
    """Mean excess of a registered version on the present test split, by the protocol of the stage `evaluate`.

    None if the split is too small for a score, or the version's model cannot be read.
    """
    data = VoxelDataset(project.voxels, params.gan.conditional)
    try:
        model = open_sampler(f"models:/{params.name}/{version}", project.mlruns)
    except UserError as error:
        logging.getLogger(__name__).warning("version %s cannot be scored: %s", version, error)
        return None

    def sample(label: int, count: int, seed: int) -> np.ndarray:
        return model.shapes(model.label(data.classes[label]), count, seed)

    resolution = model.model.architecture.resolution
    rows = protocol.evaluate(sample, data, resolution, params.evaluate.count, params.evaluate.draws, SAMPLE_SEED)
    return published_means(rows, resolution)["excess"]


def sentence(model: str, version: int, decision: Decision) -> str:
    """The outcome as a sentence."""
    return f"{model} version {version} {outcome(decision)}."


def outcome(decision: Decision) -> str:
    """What became of a version, and why."""
    became = "is champion now" if decision.promoted else "does not become champion"
    return f"{became}: {decision.reason}"
