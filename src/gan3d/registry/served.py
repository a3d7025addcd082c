"""The served model: MLflow runs this file to load a registered generator ("models from code").

It travels with the model, beside the sources of gan3d and the weights, so that neither the repository nor an installed
gan3d is needed. At load it needs numpy, scipy, Keras and its backend, imported no earlier, since the backend is chosen
first.

Request: rows of `class` (not needed where there is only one), `count` and `seed`; parameter `threshold`.
Answer: uint8 (sum of counts, R, R, R), 1 where a voxel is occupied, row after row. The same row gives the same shapes
as `gan3d.sampling.Sampler.shapes`, whatever else is in the request.
"""

import os
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext


class ServedGenerator(PythonModel):
    """Draws shapes by class and seed from the snapshot that was logged with it."""

    def load_context(self, context: PythonModelContext) -> None:
        os.environ.setdefault("KERAS_BACKEND", context.model_config["backend"])
        from gan3d import errors, sampling, snapshot

        self.sampling, self.UserError = sampling, errors.UserError
        self.sampler = sampling.Sampler(snapshot.load(context.artifacts["snapshot"]))
        self.limit = int(context.model_config["limit"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Shapes of all rows, uint8 (n, R, R, R).

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE (HTTP 400) with one sentence for anything wrong in the request.
        """
        architecture = self.sampler.snapshot.architecture
        threshold = float((params or {}).get("threshold", self.sampler.snapshot.threshold))
        if not 0 <= threshold <= 1:
            raise MlflowException.invalid_parameter_value(
                f"threshold {threshold:g} makes no sense: it lies between 0 and 1."
            )
        parts = [np.zeros((0, *(architecture.resolution,) * 3), np.uint8)]
        for label, count, seed in self._rows(model_input):
            vectors = self.sampling.latents(seed, count, architecture.latent)
            voxels = self.sampler.occupancy(vectors, np.full(count, label)) > threshold
            parts.append(voxels.astype(np.uint8))
        return np.concatenate(parts)

    def _rows(self, table: pd.DataFrame) -> list[tuple[int, int, int]]:
        """Label, count and seed of each row; all rows are checked before the first is drawn."""
        classes = table["class"] if "class" in table else [None] * len(table)
        rows = []
        for name, count, seed in zip(classes, table["count"], table["seed"], strict=True):
            if count < 1:
                raise MlflowException.invalid_parameter_value(
                    f"count {count} makes no sense: ask for at least 1 shape."
                )
            if seed < 0:
                raise MlflowException.invalid_parameter_value(f"seed {seed} makes no sense: it is 0 or more.")
            try:
                label = self.sampler.label(name if isinstance(name, str) else None)
            except self.UserError as error:
                raise MlflowException.invalid_parameter_value(str(error)) from error
            rows.append((label, int(count), int(seed)))
        total = sum(count for _, count, _ in rows)
        if total > self.limit:
            raise MlflowException.invalid_parameter_value(
                f"{total} shapes are too many for one request: ask for at most {self.limit}."
            )
        return rows


mlflow.models.set_model(ServedGenerator())
