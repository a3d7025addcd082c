"""Check that a registered version answers a request, as a server would ask it, before it may become champion."""

import warnings

import mlflow
from mlflow.models import Model, validate_serving_input

from gan3d.errors import UserError


def check_serving(model: str, version: int) -> None:
    """Load a version as a server does, and send it its own example.

    Raises:
        UserError: if it cannot be loaded or does not answer; the champion stays.
    """
    uri = f"models:/{model}/{version}"
    try:
        folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
        with warnings.catch_warnings():  # MLflow's replacement builds an environment first
            warnings.simplefilter("ignore", FutureWarning)
            validate_serving_input(uri, Model.load(folder).get_serving_input(folder))
    except Exception as error:  # whatever the model raises
        raise UserError(
            f"{model} version {version} does not answer its own example ({' '.join(str(error).split())[:200]}): it is"
            " not promoted; run `gan3d register` again, or delete the version in MLflow."
        ) from error
