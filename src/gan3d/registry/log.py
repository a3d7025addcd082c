"""Log a trained generator as an MLflow model, and register it as a version of a registered model."""

import hashlib
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from gan3d import model_file
from gan3d.addresses import mask
from gan3d.dataset import SPLITS, VoxelDataset
from gan3d.errors import UserError
from gan3d.inversion.encoder_file import ENCODER
from gan3d.metrics.protocol import mean_over_classes
from gan3d.metrics.rows import select, without_mean
from gan3d.metrics.table import PUBLISHED
from gan3d.model_file import TrainedModel, hash_weights
from gan3d.registry.card import card, short_card
from gan3d.rendering.sheets import sheet
from gan3d.rendering.voxels import class_color
from gan3d.sampling.sampler import Sampler
from gan3d.shape_io.encoding import STYLES
from gan3d.tracking.delivery import marked_alive
from gan3d.tracking.metric_names import SCORES
from gan3d.tracking.store import parent_run

NEEDED = ("mlflow", "numpy", "pandas", "scipy", "keras", "trimesh", "pillow")  # and a backend
UNFINISHED_SECONDS = 600  # after which a version without content is one that nobody finishes
RULE = "excess of three"  # which scores promotion compares
TAGGED_CLASSES = 200  # whose names fit into a tag
TAGGED_SCORES = ("excess", "one_nna_cd")  # of which promotion compares the first; the model has all as metrics
TAGGED_FACTS = ("name", "git.commit", "git.dirty", "dvc.exp_name")
EXAMPLES, PICTURED = 8, 24  # classes in the input example, and in the version's picture
SERVED = ("config.json", "generator.npz")  # without the training weights


@dataclass(frozen=True)
class Facts:
    """What is known about a generator besides its weights.

    Attributes:
        data: result of `data_facts`.
        training: one row per stage for the model card: name, images, loss, learning rates, …
        scores: rows of `gan3d.metrics.protocol.evaluate`, of one or more resolutions.
        tags: the version's provenance, such as `gan3d.tracking.provenance.provenance_tags` returns.
        training_run: id of the MLflow run that trained the last stage.
        backend: Keras backend used for training.
        encoder: file of the generator's encoder, if it has one.
    """

    data: Mapping[str, Any]
    training: Sequence[Mapping[str, Any]]
    scores: Sequence[Mapping[str, Any]]
    tags: Mapping[str, str] = field(default_factory=dict)
    training_run: str | None = None
    backend: str = "tensorflow"
    encoder: Path | None = None


def data_facts(dataset: VoxelDataset, resolution: int, source: str) -> dict[str, Any]:
    """Source, counts per class and split, and the fingerprint of the test split at a resolution."""
    counts = Counter((row["class"], row["split"]) for row in dataset.rows)
    return {
        "source": mask(source, source),
        "counts": {name: {split: counts[name, split] for split in SPLITS} for name in dataset.summary["classes"]},
        "test_split": dataset.fingerprint("test", resolution),
    }


def log_candidate(
    client: MlflowClient,
    registered: str,
    folder: str | Path,
    facts: Facts,
    run_id: str | None = None,
    mlruns: Path | None = None,
    parent: str | None = None,
    name: str = "register",
) -> int:
    """Register a trained model as a version; equal weights, scores and data give the same version.

    A version that a killed call left unfinished is finished, or deleted if it is of another content. The caller holds a
    lock against other calls on this machine.

    Args:
        client: of `gan3d.tracking.store.connect`.
        registered: name of the registered model, which is created if it is missing.
        folder: of a trained model, such as models/r16.
        facts: for tags and model card.
        run_id: the run that receives the model, its card and a picture; a new run if None.
        mlruns: folder of the store, where a killed call is noticed.
        parent: id of the experiment's run, the new run's parent.
        name: of the new run.

    Returns:
        The number of the version, which may have existed before.

    Raises:
        UserError: if the folder holds no model, or the backend that trained it is not installed.
    """
    model = model_file.load(folder)
    packages = requirements(facts.backend)
    weights = weights_hash(model)
    content = hashlib.sha256(json.dumps([weights, facts.data["test_split"], facts.scores]).encode()).hexdigest()[:16]
    known = client.search_model_versions(f"name = '{registered}' and tags.content = '{content}'")
    if known:
        return max(int(each.version) for each in known)
    means = published_means(facts.scores, model.architecture.resolution)
    tags = _tags(model, facts, means) | {"weights": weights}
    unfinished = sort_unfinished(client, registered, tags)
    if unfinished is not None:
        number, run = int(unfinished.version), unfinished.run_id
        about = _model_facts(model, registered, number)
        if run:
            client.log_text(run, card(about, facts.data, facts.training, facts.scores, _versions(packages)), "card.md")
            client.set_terminated(run, "FINISHED")
        _finish(client, about, facts, content)
        return number
    with _run(run_id, facts.tags, mlruns, parent, name) as run:
        metadata = {"weights": weights, "backend": facts.backend, "resolution": model.architecture.resolution}
        info = _log(registered, Path(folder), model, packages, facts, metadata)
        scores = {f"{SCORES}/{name}": value for name, value in means.items() if value is not None}
        mlflow.log_metrics(scores, model_id=info.model_id)
        mlflow.log_image(_picture(model), "samples.png")
        number = int(mlflow.register_model(info.model_uri, registered, tags=tags).version)
        about = _model_facts(model, registered, number)
        mlflow.log_text(card(about, facts.data, facts.training, facts.scores, _versions(packages)), "card.md")
        for twin in client.search_model_versions(f"name = '{registered}' and run_id = '{run}'"):
            if int(twin.version) != number and "content" not in twin.tags:  # of a request that was repeated
                client.delete_model_version(registered, str(twin.version))
    _finish(client, about, facts, content)
    return number


def _finish(client: MlflowClient, about: Mapping[str, Any], facts: Facts, content: str) -> None:
    """Describe a version that is otherwise complete."""
    registered, number = about["name"], str(about["version"])
    client.update_model_version(registered, number, description=short_card(about, facts.data, facts.scores))
    # last: without this tag, a version is unfinished
    client.set_model_version_tag(registered, number, "content", content)


def sort_unfinished(client: MlflowClient, registered: str, tags: Mapping[str, str]) -> ModelVersion | None:
    """The version that a killed call left with just these tags, if any; deletes unfinished ones with other tags.

    A younger one may be in the making on another machine, and one that somebody promoted is in use: both stay.
    """
    local = client.tracking_uri.startswith("sqlite")
    before = time.time() * 1000 - (0 if local else UNFINISHED_SECONDS * 1000)
    match, versions = None, client.search_model_versions(f"name = '{registered}'")
    in_use = {int(number) for number in client.get_registered_model(registered).aliases.values()} if versions else set()
    for found in versions:
        ours = "weights" in found.tags and not {"content", "promotion"} & set(found.tags)
        if not ours or int(found.version) in in_use or found.creation_timestamp > before:
            continue
        if match is None and found.tags.items() >= tags.items():
            match = found
        else:
            client.delete_model_version(registered, str(found.version))
    return match


def weights_hash(model: TrainedModel) -> str:
    """Hash of everything that determines the shapes: architecture, threshold, up axis and EMA weights."""
    config = [model.architecture.to_json(), model.threshold, model.up]
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    hash_weights(digest, model.ema)
    return digest.hexdigest()[:16]


def generated_rows(rows: Sequence[Mapping[str, Any]], resolution: int) -> list[dict[str, Any]]:
    """The rows of generated shapes at a resolution, one per class."""
    return without_mean(select(rows, kind="generated", resolution=resolution))


def published_means(rows: Sequence[Mapping[str, Any]], resolution: int) -> dict[str, float | None]:
    """Means over classes of the scores that a registered version shows; None if any class has none."""
    generated = generated_rows(rows, resolution)
    mean = mean_over_classes(generated)[0] if generated else {}
    return {score.key: mean.get(score.key) for score in PUBLISHED}


def error_of_excess(rows: Sequence[Mapping[str, Any]], resolution: int) -> dict[str, float | None]:
    """The standard error of the mean excess, by which promotion decides."""
    generated = generated_rows(rows, resolution)
    return {"excess_se": mean_over_classes(generated)[0].get("excess_se") if generated else None}


def protocol_of(rows: Sequence[Mapping[str, Any]], resolution: int) -> str:
    """The protocol's settings, as "100+100 shapes, 3 draws, seed 0, excess of three": equal ones are comparable."""
    generated = generated_rows(rows, resolution)
    if not generated:
        return "none"
    shapes = "+".join(str(row["reference"]) for row in generated)
    return f"{shapes} shapes, {generated[0]['draws']} draws, seed {generated[0]['seed']}, {RULE}"


def signature(model: TrainedModel) -> ModelSignature:
    """Inputs and parameters of `gan3d.registry.served`, and its output grids; its other outputs are tables."""
    classes, size = model.architecture.classes, model.architecture.resolution
    numbers = [ColSpec("long", name, required=False) for name in ("count", "seed", "to", "steps")]
    vector = ColSpec(Array(DataType.double), "latents", required=False)
    path = ColSpec("string", "path", required=False)
    return ModelSignature(
        inputs=Schema([ColSpec("string", "class", required=len(classes) > 1), *numbers, vector, path]),
        outputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, size, size, size))]),
        params=ParamSchema(
            [
                ParamSpec("truncation", "double", 1.0),
                ParamSpec("threshold", "double", float(model.threshold)),
                ParamSpec("output", "string", "grid"),
                ParamSpec("style", "string", STYLES[0]),
            ]
        ),
    )


def requirements(backend: str) -> list[str]:
    """Requirements of sampling, meshes and pictures, pinned to the installed versions.

    Raises:
        UserError: if the backend is not installed.
    """
    try:
        return [f"{name}=={version(name)}" for name in (*NEEDED, backend)]
    except PackageNotFoundError:
        raise UserError(
            f"{backend}, which trained this model, is not installed: install it before registering."
        ) from None


def _log(
    registered: str, folder: Path, model: TrainedModel, packages: list[str], facts: Facts, metadata: dict[str, Any]
) -> Any:
    """The generator as a logged MLflow model."""
    example = pd.DataFrame([{"class": name, "count": 2, "seed": 7} for name in model.architecture.classes[:EXAMPLES]])
    last, split = dict(facts.training[-1]) if facts.training else {}, facts.data["test_split"]
    with tempfile.TemporaryDirectory() as scratch:
        serving = Path(scratch) / "snapshot"
        serving.mkdir()
        for name in SERVED:
            shutil.copy(folder / name, serving / name)
        if facts.encoder is not None:
            shutil.copy(facts.encoder, serving / ENCODER)
        # MLflow puts the folder around `sources` first on the path, where a gan3d would shadow an installed one
        sources = Path(scratch) / "gan3d_sources"
        shutil.copytree(Path(__file__).parents[1], sources / "gan3d", ignore=shutil.ignore_patterns("__pycache__"))
        return mlflow.pyfunc.log_model(
            name=registered,
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"snapshot": str(serving)},
            code_paths=[str(sources)],
            pip_requirements=packages,
            signature=signature(model),
            input_example=(example, {"threshold": float(model.threshold)}),
            model_config={"backend": facts.backend},
            model_type="generator",
            params={name: value for name, value in last.items() if value is not None} | {"test_split": split},
            step=int(last.get("images") or 0),
            metadata=metadata | {"classes": list(model.architecture.classes)},
        )


@contextmanager
def _run(
    run_id: str | None, tags: Mapping[str, str], mlruns: Path | None, parent: str | None, name: str
) -> Iterator[str]:
    """Activate the given run, which may be active already, or a new one; gives its id."""
    active = mlflow.active_run()
    if active and active.info.run_id == run_id:
        yield active.info.run_id
        return
    parent = parent or parent_run()
    if run_id is None and parent:
        tags = dict(tags) | {MLFLOW_PARENT_RUN_ID: parent}
    with (
        mlflow.start_run(run_id=run_id, run_name=None if run_id else name, tags=None if run_id else dict(tags)) as run,
        nullcontext() if mlruns is None else marked_alive(mlruns / "outbox", run.info.run_id),
    ):
        yield run.info.run_id


def _tags(model: TrainedModel, facts: Facts, means: Mapping[str, float | None]) -> dict[str, str]:
    """What promotion compares, what the list of versions shows, and where a version comes from; not more."""
    size = model.architecture.resolution
    numbers = {name: means.get(name) for name in TAGGED_SCORES} | error_of_excess(facts.scores, size)
    return {name: facts.tags[name] for name in TAGGED_FACTS if name in facts.tags} | {
        "resolution": str(size),
        "classes": classes_tag(model.architecture.classes),
        "test_split": facts.data["test_split"],
        "protocol": protocol_of(facts.scores, size),
        **{name: repr(value) for name, value in numbers.items() if value is not None},
        **({"training_run": facts.training_run} if facts.training_run else {}),
    }


def classes_tag(classes: Sequence[str]) -> str:
    """The classes as JSON; of many, their number and a hash, so that versions can still be compared."""
    if len(classes) <= TAGGED_CLASSES:
        return json.dumps(classes)
    digest = hashlib.sha256(json.dumps(classes).encode()).hexdigest()[:16]
    return json.dumps([f"{len(classes)} classes, {digest}"])


def _model_facts(model: TrainedModel, registered: str, number: int) -> dict[str, Any]:
    a = model.architecture
    return {
        "name": registered,
        "version": number,
        "classes": list(a.classes),
        "resolution": a.resolution,
        "latent": a.latent,
        "parameters": sum(value.size for value in model.ema.values()),
        "threshold": model.threshold,
        "up": model.up,
    }


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {"gan3d": version("gan3d")} | {name: number for name, _, number in (p.partition("==") for p in packages)}


def _picture(model: TrainedModel, count: int = 8) -> np.ndarray:
    """Samples with seed 0, one row per class, of the first PICTURED classes."""
    sampler = Sampler(model)
    shapes = [
        shape for label in range(min(PICTURED, len(sampler.classes))) for shape in sampler.shapes(label, count, 0)
    ]
    colors = [class_color(i // count) for i in range(len(shapes))]
    return sheet(shapes, count, titles=sampler.classes, size=128, up=model.up, colors=colors)
