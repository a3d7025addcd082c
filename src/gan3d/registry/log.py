"""Log a trained generator as an MLflow model and register it as a version of `gan3d`."""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array

import gan3d
from gan3d import model_file
from gan3d.dataset import SPLITS, VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics import protocol
from gan3d.model_file import TrainedModel
from gan3d.registry.card import card, shorten
from gan3d.rendering.sheets import sheet
from gan3d.rendering.voxels import class_color
from gan3d.sampling.sampler import Sampler
from gan3d.shape_io.encoding import STYLES
from gan3d.tracking.store import MODEL

NEEDED = ("mlflow", "numpy", "pandas", "scipy", "keras", "trimesh", "scikit-image", "pillow")  # and a backend
DESCRIPTION = 5000  # characters that MLflow's database has for a version's description
SERVED = ("config.json", "generator.npz")  # of a snapshot; the training weights stay behind
SCORES = ("one_nna_cd", "cov_cd", "mmd_cd_x1e3")  # whose means become tags and metrics


@dataclass(frozen=True)
class Facts:
    """What is known of a generator besides its weights.

    Attributes:
        data: of `data_facts`.
        training: one row a stage for the model card: its name, images, loss, learning rates, …
        scores: rows of `gan3d.metrics.protocol.evaluate` at every resolution that was scored.
        tags: what ties the version to its cause, such as `gan3d.tracking.provenance.cause` gives.
        training_run: id of the MLflow run that trained the last stage.
        backend: Keras' backend in training.
    """

    data: Mapping[str, Any]
    training: Sequence[Mapping[str, Any]]
    scores: Sequence[Mapping[str, Any]]
    tags: Mapping[str, str] = field(default_factory=dict)
    training_run: str | None = None
    backend: str = "tensorflow"


def data_facts(dataset: VoxelDataset, resolution: int, source: str) -> dict[str, Any]:
    """Source, counts by class and split, and the fingerprint of the test split at a resolution."""
    counts = Counter((row["class"], row["split"]) for row in dataset.rows)
    return {
        "source": source,
        "counts": {name: {split: counts[name, split] for split in SPLITS} for name in dataset.summary["classes"]},
        "test_split": dataset.fingerprint("test", resolution),
    }


def log_candidate(client: MlflowClient, folder: str | Path, facts: Facts, run_id: str | None = None) -> int:
    """Register a snapshot as a version of `gan3d`; equal weights with equal scores on equal data are one version.

    Args:
        client: of `gan3d.tracking.store.connect`.
        folder: a snapshot, such as models/r16.
        facts: for tags and model card.
        run_id: the run that takes the model, its card and a picture; a new one named "register" when None.

    Returns:
        The number of the version, new or found.

    Raises:
        UserError: when the folder holds no snapshot, or the backend of its training is not installed.
    """
    model = model_file.load(folder)
    packages = requirements(facts.backend)
    weights = weights_hash(model)
    content = hashlib.sha256(json.dumps([weights, facts.data["test_split"], facts.scores]).encode()).hexdigest()[:16]
    known = client.search_model_versions(f"name = '{MODEL}' and tags.content = '{content}'")
    if known:
        return max(int(found.version) for found in known)
    with _run(run_id, facts.tags):
        metadata = {"weights": weights, "backend": facts.backend, "resolution": model.architecture.resolution}
        info = _log(Path(folder), model, packages, facts.backend, metadata)
        means = mean_scores(facts.scores, model.architecture.resolution)
        mlflow.log_metrics({name: value for name, value in means.items() if value is not None}, model_id=info.model_id)
        mlflow.log_image(_picture(model), "samples.png")
        tags = _tags(model, facts, means) | {"weights": weights}
        number = int(mlflow.register_model(info.model_uri, MODEL, tags=tags).version)
        text = card(_model_facts(model, number), facts.data, facts.training, facts.scores, _versions(packages))
        mlflow.log_text(text, "card.md")
    client.update_model_version(MODEL, str(number), description=shorten(text, DESCRIPTION))
    # last of all: a version without it was never finished, and a later call makes another one
    client.set_model_version_tag(MODEL, str(number), "content", content)
    return number


def weights_hash(model: TrainedModel) -> str:
    """Hash of all that determines the shapes: architecture, threshold, up axis and the averaged weights."""
    config = [model.architecture.to_json(), model.threshold, model.up]
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, value in sorted(model.ema.items()):
        digest.update(json.dumps([name, value.dtype.str, value.shape]).encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]


def generated_rows(rows: Sequence[Mapping[str, Any]], resolution: int) -> list[dict[str, Any]]:
    """The rows of generated shapes at a resolution, one a class."""
    found = [dict(row) for row in rows if row["kind"] == "generated" and row["resolution"] == resolution]
    return [row for row in found if row["class"] != protocol.MEAN]


def mean_scores(rows: Sequence[Mapping[str, Any]], resolution: int) -> dict[str, float | None]:
    """Means over classes of the generated shapes' scores at a resolution; None where any class has none."""
    own = generated_rows(rows, resolution)
    mean = protocol.mean_over_classes(own)[0] if own else {}
    return {name: mean.get(name) for name in SCORES}


def protocol_of(rows: Sequence[Mapping[str, Any]], resolution: int) -> str:
    """How the scores of a resolution were taken, as "100+100 shapes, 3 draws, seed 0"; only equal ones compare."""
    own = generated_rows(rows, resolution)
    if not own:
        return "none"
    return f"{'+'.join(str(row['reference']) for row in own)} shapes, {own[0]['draws']} draws, seed {own[0]['seed']}"


def signature(model: TrainedModel) -> ModelSignature:
    """What `gan3d.registry.served` takes, and the grids it gives; its other outputs are tables."""
    classes, size = model.architecture.classes, model.architecture.resolution
    numbers = [ColSpec("long", name, required=False) for name in ("count", "seed", "to", "steps")]
    vector = ColSpec(Array(DataType.double), "latents", required=False)
    return ModelSignature(
        inputs=Schema([ColSpec("string", "class", required=len(classes) > 1), *numbers, vector]),
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
    """What drawing, meshes and pictures need, pinned to the versions that are installed here.

    Raises:
        UserError: when the backend is not installed.
    """
    try:
        return [f"{name}=={version(name)}" for name in (*NEEDED, backend)]
    except PackageNotFoundError:
        raise UserError(
            f"{backend}, which trained this model, is missing here: install it before registering."
        ) from None


def _log(folder: Path, model: TrainedModel, packages: list[str], backend: str, metadata: dict[str, Any]) -> Any:
    """The generator as a logged MLflow model."""
    example = pd.DataFrame([{"class": name, "count": 2, "seed": 7} for name in model.architecture.classes])
    with tempfile.TemporaryDirectory() as scratch:
        serving = Path(scratch) / "snapshot"
        serving.mkdir()
        for name in SERVED:
            shutil.copy(folder / name, serving / name)
        return mlflow.pyfunc.log_model(
            name=MODEL,
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"snapshot": str(serving)},
            code_paths=[str(Path(gan3d.__file__).parent)],
            pip_requirements=packages,
            signature=signature(model),
            input_example=(example, {"threshold": float(model.threshold)}),
            model_config={"backend": backend},
            metadata=metadata | {"classes": list(model.architecture.classes)},
        )


@contextmanager
def _run(run_id: str | None, tags: Mapping[str, str]) -> Iterator[None]:
    """Within the given run, which may be the active one already, or a new one."""
    active = mlflow.active_run()
    if active and active.info.run_id == run_id:
        yield
        return
    with mlflow.start_run(run_id=run_id, run_name=None if run_id else "register", tags=None if run_id else dict(tags)):
        yield


def _tags(model: TrainedModel, facts: Facts, means: Mapping[str, float | None]) -> dict[str, str]:
    """What promotion compares, and what a person wants to see in the list of versions."""
    size = model.architecture.resolution
    by_class = {row["class"]: row.get("one_nna_cd") for row in generated_rows(facts.scores, size)}
    return dict(facts.tags) | {
        "resolution": str(size),
        "classes": json.dumps(model.architecture.classes),
        "test_split": facts.data["test_split"],
        "protocol": protocol_of(facts.scores, size),
        "one_nna_cd_by_class": json.dumps(by_class),
        **{name: repr(value) for name, value in means.items() if value is not None},
        **({"training_run": facts.training_run} if facts.training_run else {}),
    }


def _model_facts(model: TrainedModel, number: int) -> dict[str, Any]:
    a = model.architecture
    return {
        "name": MODEL,
        "version": number,
        "classes": list(a.classes),
        "resolution": a.resolution,
        "latent": a.latent,
        "parameters": sum(value.size for value in model.ema.values()),
        "threshold": model.threshold,
        "up": model.up,
    }


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {"gan3d": gan3d.__version__} | {
        name: number for name, _, number in (package.partition("==") for package in packages)
    }


def _picture(model: TrainedModel, count: int = 8) -> np.ndarray:
    """A row of shapes of each class, seed 0."""
    sampler = Sampler(model)
    rows = [sampler.shapes(label, count, 0) for label in range(len(sampler.classes))]
    colors = [class_color(label) for label in range(len(rows)) for _ in range(count)]
    shapes = [shape for row in rows for shape in row]
    return sheet(shapes, count, titles=sampler.classes, size=128, up=model.up, colors=colors)
