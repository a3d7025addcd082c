"""The served model: MLflow runs this file to load a registered generator ("models from code").

The file is logged with the model, together with the sources of gan3d and the weights, so serving needs neither the
repository nor an installed gan3d; an installed one is used in place of the model's. Modules of gan3d are imported at
load, after Keras' backend is chosen; those for meshes and pictures on their first request.

A request is rows of `class` (optional where there is only one), `count`, `seed`, `latents`, `to`, `steps` and `path`
(`gan3d.sampling.requests.Request`), with the parameters `truncation`, `threshold`, `output` and `style` for all rows.
`output` is one of `gan3d.shape_io.formats.OUTPUTS`: for "grid" the response is uint8 (n, R, R, R), 1 where a voxel is
occupied, row after row; otherwise a table of `class`, `media_type` and `data` (base64), one row per shape, or a single
row for a picture of all.
"""

import base64
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext


class InvalidRequest(MlflowException):
    """HTTP 400 with one sentence; MLflow's server would otherwise prepend the whole request."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        return self.sentence

    @message.setter
    def message(self, value: str) -> None:
        pass


class ServedGenerator(PythonModel):
    """Samples shapes from the model that was logged with this file."""

    def load_context(self, context: PythonModelContext) -> None:
        os.environ.setdefault("KERAS_BACKEND", context.model_config["backend"])
        try:
            import_module("gan3d")
        except ModuleNotFoundError:  # the model's own, last on the path: nothing of the caller's is shadowed
            (package,) = (Path(context.artifacts["snapshot"]).parents[1] / "code").glob("*/gan3d")
            sys.path.append(str(package.parent))
        from gan3d import errors
        from gan3d.sampling import requests, sampler
        from gan3d.shape_io import encoding, formats

        self.encoding, self.formats, self.requests, self.UserError = encoding, formats, requests, errors.UserError
        self.sampler = sampler.Sampler.load(context.artifacts["snapshot"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray | pd.DataFrame:
        """Sample the shapes of all rows.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE (HTTP 400) with one sentence for an invalid request.
        """
        given = params or {}
        output, style = given.get("output") or "grid", given.get("style") or self.formats.STYLES[0]
        try:
            limit = self.formats.max_shapes(output, self.sampler.model.architecture.resolution)
            rows = [self._request(row) for row in model_input.to_dict("records")]
            sampled = self.requests.sample_shapes(
                self.sampler, rows, given.get("truncation"), given.get("threshold"), limit
            )
            if output == "grid":
                return sampled.voxels.astype(np.uint8)
            return self._table(self.encoding.encode(sampled, output, style))
        except self.UserError as error:
            raise InvalidRequest(str(error)) from error

    def _request(self, row: dict[Any, Any]) -> Any:
        """A row of the table as a request; missing numbers are None or NaN."""
        names = ("count", "seed", "to", "steps")
        numbers = {name: int(row[name]) for name in names if row.get(name) is not None and row[name] == row[name]}
        label, vector, path = row.get("class"), row.get("latents"), row.get("path")
        vectors = [vector] if isinstance(vector, list | tuple | np.ndarray) else None
        return self.requests.Request(
            label if isinstance(label, str) else None,
            vectors=vectors,
            path=path if isinstance(path, str) else None,
            **numbers,
        )

    def _table(self, parts: list[Any]) -> pd.DataFrame:
        rows = [(part.label, part.media_type, base64.b64encode(part.content).decode()) for part in parts]
        return pd.DataFrame(rows, columns=["class", "media_type", "data"])


mlflow.models.set_model(ServedGenerator())
