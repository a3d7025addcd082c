"""Log a training stage to one MLflow run: parameters, curves, samples of fixed latents over time, the model."""

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
    """Logs a training to an MLflow run.

    A resumed training resumes its run; rows that MLflow has already are not logged again. Only `on_train_begin` waits
    for MLflow: everything later goes through an `Outbox`, so that a server that fails stops no training.

    Args:
        name: of the run.
        params: of the run.
        tags: of the run.
        classes: of the data set, for the contact sheets.
        up: axis of the data set, for the contact sheets.
        dataset: input of the run, from `mlflow.data`.
        mlruns: folder that holds the outbox.
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
        self.logged_steps: set[int] = set()
        self.unsent: list[Row] = []
        self.last_flush = time.monotonic()

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        run = self._resumable(record.get("run_id"))
        with without_retries():
            mlflow.start_run(run_id=run, run_name=self.name, tags=self.tags, log_system_metrics=True)
            self.run_id = mlflow.active_run().info.run_id
            if run is None:
                mlflow.log_params(self.params)
                if self.dataset is not None:
                    mlflow.log_input(self.dataset, context="training")
            history = self.client.get_metric_history(self.run_id, "loss_d")
        self.outbox = Outbox(self.client, self.run_id, self.folder)
        self.logged_steps = {metric.step for metric in history} | self.outbox.steps()
        for row in rows:
            self.on_log(row)
        return {"run_id": self.run_id}

    def on_log(self, row: Row) -> None:
        if int(row["images"]) not in self.logged_steps:
            self.unsent.append(row)
        if time.monotonic() - self.last_flush > FLUSH_SECONDS:
            self.flush()

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        if self.outbox is not None:
            self.outbox.put_image("samples", images, samples_sheet(voxels, labels, self.classes, self.up))

    def on_warning(self, images: int, message: str) -> None:
        if self.outbox is not None:
            self.outbox.put_tag("warning", f"at {images} images: {message}")

    def flush(self) -> None:
        """Queue the rows that are not queued yet."""
        if self.outbox is not None:
            self.outbox.put_metrics(self.unsent)
            self.unsent = []
        self.last_flush = time.monotonic()

    def finish(self, files: dict[str, Path]) -> None:
        """Queue what is left and the files, each for its artifact folder, and end the run."""
        if self.outbox is not None:
            for folder, path in files.items():
                self.outbox.put_files(path, folder)
        self.end("FINISHED")

    def fail(self, killed: bool) -> None:
        """End the run as FAILED, or as KILLED; the same command resumes it."""
        self.end("KILLED" if killed else "FAILED")

    def end(self, status: str) -> None:
        """End the run and wait for the outbox; what it cannot deliver in time stays for `gan3d sync`."""
        if self.outbox is None:
            return
        self.flush()
        self.outbox.put_end(status)
        left = self.outbox.close()
        with without_retries(), contextlib.suppress(Exception):  # the end is in the outbox, too
            mlflow.end_run(status)
        if left:
            why = self.outbox.last_error or "no answer"
            print(
                f"warning: {left} entries of run {self.run_id} did not reach MLflow ({why}): they are kept in"
                f" {self.outbox.folder}; run `gan3d sync` when MLflow is back.",
                file=sys.stderr,
            )
        self.outbox = None

    def _resumable(self, run_id: str | None) -> str | None:
        """The run of a checkpoint, unless it was deleted since."""
        if run_id is None:
            return None
        try:
            run = self.client.get_run(run_id)
        except mlflow.MlflowException:
            return None
        return run_id if run.info.lifecycle_stage == "active" else None
