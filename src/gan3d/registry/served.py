"""The served model: MLflow runs this file to load a registered generator ("models from code").

It travels with the model, beside the sources of gan3d and the weights, so that neither the repository nor an installed
gan3d is needed. Its modules are imported at load and no earlier, since Keras' backend is chosen first; what meshes and
pictures need is imported when the first is asked for.

A request is rows of `class` (not needed where there is only one), `count`, `seed`, `latents`, `to` and `steps`
(`gan3d.sampling.requests.Request`), and parameters `truncation`, `threshold`, `output` and `style` for all of them. The
answer to output "grid" is uint8 (n, R, R, R), 1 where a voxel is occupied, row after row; to any other a table of
`class`, `media_type` and `data` (base64), a row a shape, or one row for the picture of all.
"""

import base64
import os
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext


class Refused(MlflowException):
    """HTTP 400 with one sentence: MLflow's server would put the whole request in front of it."""

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
    """Draws what a request asks for from the snapshot that was logged with it."""

    def load_context(self, context: PythonModelContext) -> None:
        os.environ.setdefault("KERAS_BACKEND", context.model_config["backend"])
        from gan3d import errors, model_file
        from gan3d.sampling import requests, sampler
        from gan3d.shape_io import encoding

        self.encoding, self.requests, self.UserError = encoding, requests, errors.UserError
        self.sampler = sampler.Sampler(model_file.load(context.artifacts["snapshot"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray | pd.DataFrame:
        """Shapes of all rows.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE (HTTP 400) with one sentence for anything wrong in the request.
        """
        given = params or {}
        output, style = given.get("output") or "grid", given.get("style") or "marching_cubes"
        try:
            limit = self.encoding.limit(output, self.sampler.model.architecture.resolution)
            rows = [self._request(row) for row in model_input.to_dict("records")]
            drawn = self.requests.draw(self.sampler, rows, given.get("truncation"), given.get("threshold"), limit)
            if output == "grid":
                return drawn.voxels.astype(np.uint8)
            return self._table(self.encoding.encode(drawn, output, style))
        except self.UserError as error:
            raise Refused(str(error)) from error

    def _request(self, row: dict[Any, Any]) -> Any:
        """A row of the table, in which anything but a class or a latent may be missing as None or NaN."""
        names = ("count", "seed", "to", "steps")
        numbers = {name: int(row[name]) for name in names if row.get(name) is not None and row[name] == row[name]}
        label, vector = row.get("class"), row.get("latents")
        vectors = [vector] if isinstance(vector, list | tuple | np.ndarray) else None
        return self.requests.Request(label if isinstance(label, str) else None, vectors=vectors, **numbers)

    def _table(self, parts: list[Any]) -> pd.DataFrame:
        rows = [(part.label, part.media_type, base64.b64encode(part.content).decode()) for part in parts]
        return pd.DataFrame(rows, columns=["class", "media_type", "data"])


mlflow.models.set_model(ServedGenerator())
