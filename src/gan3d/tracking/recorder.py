"""A training stage as one MLflow run: parameters, curves, pictures of the same latents over time, the model."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric

from gan3d.drawing.sheets import sheet
from gan3d.drawing.voxels import class_color
from gan3d.training.loop import Row

FLUSH_SECONDS = 10.0
BATCH = 900  # metrics a request; MLflow takes 1000


class Recorder:
    """Observes a training (see `gan3d.training.loop.Observer`) and writes it into an MLflow run.

    A continued training continues its run: rows that MLflow already has are not written again.
    """

    def __init__(
        self,
        client: MlflowClient,
        name: str,
        params: dict[str, Any],
        tags: dict[str, str],
        classes: Sequence[str],
        up: str,
        dataset: Any = None,
    ):
        self.client = client
        self.name, self.params, self.tags, self.dataset = name, params, tags, dataset
        self.classes, self.up = classes, up
        self.run_id = ""
        self.known = -1.0
        self.waiting: list[Row] = []
        self.flushed = time.monotonic()

    def started(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        run = self._continued(record.get("run_id"))
        mlflow.start_run(run_id=run, run_name=self.name, tags=self.tags, log_system_metrics=True)
        self.run_id = mlflow.active_run().info.run_id
        if run is None:
            mlflow.log_params(self.params)
            if self.dataset is not None:
                mlflow.log_input(self.dataset, context="training")
        else:
            history = self.client.get_metric_history(self.run_id, "loss_d")
            self.known = max((metric.step for metric in history), default=-1)
        for row in rows:
            self.logged(row)
        return {"run_id": self.run_id}

    def logged(self, row: Row) -> None:
        if row["images"] > self.known:
            self.waiting.append(row)
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def pictured(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        mlflow.log_image(picture(voxels, labels, self.classes, self.up), key="samples", step=images)

    def warned(self, images: int, message: str) -> None:
        mlflow.set_tag("warning", f"at {images} images: {message}")

    def flush(self) -> None:
        """Hand over the rows that wait."""
        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, int(row["images"]))
            for row in self.waiting
            for name, value in row.items()
            if name != "images"
        ]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + BATCH])
        self.waiting = []
        self.flushed = time.monotonic()

    def finished(self, files: dict[str, Path]) -> None:
        """Write what is left and the files, each into its artifact folder, and close the run."""
        self.flush()
        for folder, path in files.items():
            log = mlflow.log_artifacts if path.is_dir() else mlflow.log_artifact
            log(str(path), folder or None)
        mlflow.end_run("FINISHED")

    def failed(self, killed: bool) -> None:
        """Close the run as it truly ended; a killed one is continued by the next call of the same command."""
        if mlflow.active_run():
            self.flush()
            mlflow.end_run("KILLED" if killed else "FAILED")

    def _continued(self, run_id: str | None) -> str | None:
        """The run of a checkpoint, unless somebody has deleted it since."""
        if run_id is None:
            return None
        try:
            run = self.client.get_run(run_id)
        except mlflow.MlflowException:
            return None
        return run_id if run.info.lifecycle_stage == "active" else None


def picture(voxels: np.ndarray, labels: np.ndarray, classes: Sequence[str], up: str, size: int = 128) -> np.ndarray:
    """One row a class of the shapes (n, R, R, R); uint8, since MLflow rescales floats call by call."""
    rows = len(np.unique(labels))
    colors = [class_color(int(label)) for label in labels]
    titles = [classes[int(labels[i * len(labels) // rows])] for i in range(rows)]
    return sheet(list(voxels), len(voxels) // rows, titles=titles, size=size, up=up, colors=colors)
