"""Where a model lies on this machine: a snapshot's folder for a path or an MLflow URI."""

import re
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository
from mlflow.store.artifact.utils.models import get_model_name_and_version

from gan3d import model_file
from gan3d.errors import UserError
from gan3d.registry.aliases import open_registry
from gan3d.tracking.store import MODEL

SCHEMES = {"models:/": ModelsArtifactRepository, "runs:/": RunsArtifactRepository}


def resolve(model: str, mlruns: Path) -> Path:
    """The folder of a snapshot (`gan3d.model_file`).

    Args:
        model: a folder such as models/r16, or a URI: models:/gan3d@champion, models:/gan3d/3, runs:/RUN/model.
        mlruns: the project's store (`gan3d.tracking.store.connect`). Downloads go into its folder `downloads`; a
            version whose artifacts lie on this machine is not copied.

    Raises:
        UserError: when there is no such model; for the registry the sentence says which there are.
    """
    scheme = next((scheme for scheme in SCHEMES if model.startswith(scheme)), None)
    if scheme is None:
        model_file.read_config(Path(model))
        return Path(model)
    client = open_registry(mlruns, model)
    try:
        folder = _local(model, SCHEMES[scheme].get_underlying_uri(model), mlruns / "downloads")
    except MlflowException as error:
        raise UserError(f"{model} is not known: {_advice(client, model)}.") from error
    return _snapshot_in(folder, model)


def version_name(model: str, mlruns: Path) -> str:
    """The version that a URI stands for now, as gan3d/3; anything that is no registered model is its own name.

    Raises:
        UserError: as `resolve`.
    """
    if not model.startswith("models:/"):
        return model
    client = open_registry(mlruns, model)
    try:
        return "/".join(map(str, get_model_name_and_version(client, model)))
    except MlflowException as error:
        raise UserError(f"{model} is not known: {_advice(client, model)}.") from error


def _local(model: str, source: str, downloads: Path) -> Path:
    """The artifacts at `source`, which the URI `model` stands for; downloaded when they are elsewhere."""
    path = Path(url2pathname(urlparse(source).path))
    if urlparse(source).scheme in ("", "file") and path.is_dir():
        return path
    kept = downloads / re.sub(r"\W+", "-", source)
    if kept.is_dir() and model.startswith("models:/"):  # a version never changes; a run's artifacts may
        return kept
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=downloads) as scratch:
        fetched = mlflow.artifacts.download_artifacts(artifact_uri=model, dst_path=scratch)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(fetched, kept)
    return kept


def _snapshot_in(folder: Path, model: str) -> Path:
    found = sorted(path.parent for path in folder.rglob("generator.npz") if (path.parent / "config.json").is_file())
    if not found:
        raise UserError(f"{model} holds no generator of gan3d: name a registered version or a run's model.")
    return found[0]


def _advice(client: MlflowClient, model: str) -> str:
    """What exists instead."""
    if model.startswith("runs:/"):
        return "MLflow has no such run or no such artifact in it, so look the run up with `mlflow ui`"
    versions = sorted(int(version.version) for version in client.search_model_versions(f"name = '{MODEL}'"))
    if not versions:
        return "no version is registered yet, so register a model first"
    aliases = client.get_registered_model(MODEL).aliases
    known = [f"models:/{MODEL}@{alias}" for alias in sorted(aliases)]
    return "choose one of " + ", ".join(known + [f"models:/{MODEL}/{number}" for number in versions])
