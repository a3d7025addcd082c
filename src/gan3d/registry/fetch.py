"""Fetch a model from MLflow: the folder of its files on this machine, for a URI."""

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

from gan3d.config.project import find_project
from gan3d.errors import UserError
from gan3d.registry.aliases import open_registry

LISTED = 100  # registered models
SCHEMES = {"models:/": ModelsArtifactRepository, "runs:/": RunsArtifactRepository}


def resolve(uri: str, mlruns: Path) -> Path:
    """The folder with the files of a model (`gan3d.model_file`).

    Args:
        uri: models:/furniture@champion, models:/furniture/3, or runs:/RUN/model.
        mlruns: the MLflow store (`gan3d.tracking.store.connect`). Downloads go into its folder `downloads`; artifacts
            on this machine are used in place.

    Raises:
        UserError: when there is no such model; for the registry, the message lists the versions that exist.
    """
    repository = next(repository for scheme, repository in SCHEMES.items() if uri.startswith(scheme))
    client = open_registry(mlruns, uri)
    try:
        folder = _local_artifacts(uri, repository.get_underlying_uri(uri), mlruns / "downloads")
    except MlflowException as error:
        raise UserError(f"{uri} is not known: {_advice(client, uri)}.") from error
    return _model_in(folder, uri)


def version_name(address: str, mlruns: Path | None = None) -> str:
    """The version that a registry URI points to now, as furniture/3; any other address is returned unchanged.

    Raises:
        UserError: as `resolve`.
    """
    if not address.startswith("models:/"):
        return address
    client = open_registry(mlruns or find_project().mlruns, address)
    try:
        return "/".join(map(str, get_model_name_and_version(client, address)))
    except MlflowException as error:
        raise UserError(f"{address} is not known: {_advice(client, address)}.") from error


def _local_artifacts(uri: str, source: str, downloads: Path) -> Path:
    """The artifacts at `source`, the location behind `uri`; downloaded unless they are on this machine."""
    path = Path(url2pathname(urlparse(source).path))
    if urlparse(source).scheme in ("", "file") and path.is_dir():
        return path
    kept = downloads / re.sub(r"\W+", "-", source)
    if kept.is_dir() and any(kept.iterdir()) and uri.startswith("models:/"):  # a version never changes; a run may
        return kept
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=downloads) as scratch:
        fetched = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(fetched, kept)
    return kept


def _model_in(folder: Path, uri: str) -> Path:
    folders = sorted(path.parent for path in folder.rglob("generator.npz") if (path.parent / "config.json").is_file())
    if not folders:
        raise UserError(f"{uri} holds no generator of gan3d: name a registered version or a run's model.")
    return folders[0]


def _advice(client: MlflowClient, uri: str) -> str:
    """What to name instead."""
    if uri.startswith("runs:/"):
        return "MLflow has no such run or no such artifact in it, so look the run up with `mlflow ui`"
    model = re.split("[/@]", uri.removeprefix("models:/"))[0]
    known = [each for each in client.search_registered_models(max_results=LISTED) if each.latest_versions]
    if model not in {each.name for each in known}:
        others = [f"models:/{each.name}@{alias}" for each in known for alias in sorted(each.aliases)]
        register = f"no version of {model or 'it'} is registered yet, so register a model first"
        return f"{register}, or choose one of {', '.join(others)}" if others else register
    aliases = client.get_registered_model(model).aliases
    numbers = sorted(int(version.version) for version in client.search_model_versions(f"name = '{model}'"))
    named = [f"models:/{model}@{alias}" for alias in sorted(aliases)]
    return "choose one of " + ", ".join(named + [f"models:/{model}/{number}" for number in numbers])
