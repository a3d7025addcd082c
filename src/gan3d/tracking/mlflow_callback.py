"""A training stage as one MLflow run: parameters, curves, pictures of the same latents over time, the model."""

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient

from gan3d.rendering.sheets import samples_sheet
from gan3d.tracking.outbox import Outbox
from gan3d.tracking.store import without_retries
from gan3d.training.callback import Callback, Row

FLUSH_SECONDS = 10.0


class MLflowCallback(Callback):
    """Observes a training (see `gan3d.training.loop.Observer`) and writes it into an MLflow run.

    A continued training continues its run: rows that MLflow already has are not written again. After the start
    nothing waits for MLflow: all goes through an `Outbox`, so that a server that dies stops no training.
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
        *,
        mlruns: Path,
    ):
        self.client = client
        self.name, self.params, self.tags, self.dataset = name, params, tags, dataset
        self.classes, self.up, self.folder = classes, up, mlruns / "outbox"
        self.run_id = ""
        self.outbox: Outbox | None = None
        self.known: set[int] = set()
        self.waiting: list[Row] = []
        self.flushed = time.monotonic()

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        run = self._continued(record.get("run_id"))
        with without_retries():
            mlflow.start_run(run_id=run, run_name=self.name, tags=self.tags, log_system_metrics=True)
            self.run_id = mlflow.active_run().info.run_id
            if run is None:
                mlflow.log_params(self.params)
                if self.dataset is not None:
                    mlflow.log_input(self.dataset, context="training")
            history = self.client.get_metric_history(self.run_id, "loss_d")
        self.outbox = Outbox(self.client, self.run_id, self.folder)
        self.known = {metric.step for metric in history} | self.outbox.steps()
        for row in rows:
            self.on_log(row)
        return {"run_id": self.run_id}

    def on_log(self, row: Row) -> None:
        if int(row["images"]) not in self.known:
            self.waiting.append(row)
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        if self.outbox is not None:
            self.outbox.put_image("samples", images, samples_sheet(voxels, labels, self.classes, self.up))

    def on_warning(self, images: int, message: str) -> None:
        if self.outbox is not None:
            self.outbox.put_tag("warning", f"at {images} images: {message}")

    def flush(self) -> None:
        """Hand over the rows that wait."""
        if self.outbox is not None:
            self.outbox.put_metrics(self.waiting)
            self.waiting = []
        self.flushed = time.monotonic()

    def finish(self, files: dict[str, Path]) -> None:
        """Hand over what is left and the files, each into its artifact folder, and close the run."""
        if self.outbox is not None:
            for folder, path in files.items():
                self.outbox.put_files(path, folder)
        self.end("FINISHED")

    def fail(self, killed: bool) -> None:
        """Close the run as it truly ended; a killed one is continued by the next call of the same command."""
        self.end("KILLED" if killed else "FAILED")

    def end(self, status: str) -> None:
        """Close the run: wait a while for what is still under way; what MLflow does not take stays for `gan3d sync`."""
        if self.outbox is None:
            return
        self.flush()
        self.outbox.put_end(status)
        left = self.outbox.close()
        with without_retries(), contextlib.suppress(Exception):  # the outbox has the end already
            mlflow.end_run(status)
        if left:
            why = self.outbox.trouble or "no answer"
            print(
                f"warning: MLflow did not take {left} entries of run {self.run_id} ({why}): they wait in"
                f" {self.outbox.folder}; deliver them with `gan3d sync` when it is back.",
                file=sys.stderr,
            )
        self.outbox = None

    def _continued(self, run_id: str | None) -> str | None:
        """The run of a checkpoint, unless somebody has deleted it since."""
        if run_id is None:
            return None
        try:
            run = self.client.get_run(run_id)
        except mlflow.MlflowException:
            return None
        return run_id if run.info.lifecycle_stage == "active" else None
