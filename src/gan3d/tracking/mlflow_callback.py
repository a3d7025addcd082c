"""Log a training stage to one MLflow run: parameters, curves, samples of fixed latents over time, the model."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient

from gan3d.metrics.names import metric_name
from gan3d.rendering.sheets import square_sheets
from gan3d.tracking.experiment_run import ExperimentRun
from gan3d.tracking.metric_names import DIGITS, RUN_SCORE, SHEETS, MetricRows, of_experiment
from gan3d.tracking.outbox import Outbox
from gan3d.tracking.run import TrackedRun
from gan3d.tracking.system_metrics import SystemMetrics
from gan3d.training.callback import Callback, Row

FLUSH_SECONDS = 10.0
SHEET_CLASSES = 8  # the first ones, whose shapes become pictures


class MLflowCallback(Callback):
    """Logs a training to an MLflow run.

    A resumed training resumes its run; rows that MLflow has already are not logged again. Everything goes through an
    `Outbox`, so that a server that fails stops no training.

    Args:
        name: of the run.
        params: of the run.
        tags: of the run.
        classes: of the data set, for the contact sheets.
        up: axis of the data set, for the contact sheets.
        dataset: input of the run, from `mlflow.data`.
        mlruns: folder that holds the outbox.
        dead: status of the run if this process dies.
        experiment: that the run is a stage of.
        leads: whether the experiment's run shows this stage's curves and pictures, as of the final one.
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
        dead: str = "KILLED",
        experiment: ExperimentRun | None = None,
        leads: bool = False,
    ):
        self.client, self.mlruns = client, mlruns
        self.name, self.params, self.tags, self.dataset, self.dead = name, params, tags, dataset, dead
        self.classes, self.up = classes, up
        self.experiment, self.leads = experiment, leads
        self.converter = MetricRows()
        self.run_id = ""
        self.run: TrackedRun | None = None
        self.system: SystemMetrics | None = None
        self.unsent: list[Row] = []
        self.last_flush = time.monotonic()

    @property
    def outbox(self) -> Outbox | None:
        """The run's outbox, while it is open."""
        return None if self.run is None else self.run.outbox

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        self.run = TrackedRun(
            self.client,
            self.mlruns,
            self.name,
            self.params,
            self.tags,
            self.dataset,
            record.get("run_id"),
            self.dead,
            self.experiment,
        )
        self.converter = MetricRows()
        self.run_id = self.run.wait_for_start()
        self.system = SystemMetrics(self.run.outbox)
        for row in rows:
            self.on_log(row)
        return {"run_id": self.run.id}

    def on_log(self, row: Row) -> None:
        self.unsent.append(row)
        if time.monotonic() - self.last_flush > FLUSH_SECONDS:
            self.flush()

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        if self.outbox is None:
            return
        for name, pixels in square_sheets(voxels, labels, self.classes, self.up, SHEET_CLASSES).items():
            key = f"{SHEETS}/{metric_name(name)} in training"
            self.outbox.put_image(key, images, pixels)
            if self.experiment is not None and self.leads:
                self.experiment.put_image(key, images, pixels)

    def on_warning(self, images: int, message: str) -> None:
        if self.outbox is not None:
            self.outbox.put_tag("warning", f"at {images} images: {message}")

    def flush(self) -> None:
        """Queue the rows that are not queued yet."""
        if self.outbox is not None:
            rows = [self.converter.convert(row) for row in self.unsent]
            self.outbox.put_metrics(rows)
            if self.experiment is not None and self.leads:
                self.experiment.put_metrics(of_experiment(rows))
            self.unsent = []
        self.last_flush = time.monotonic()

    def keep_model(self, name: str, images: int, score: float | None, files: Sequence[Path]) -> None:
        """Queue a kept checkpoint as a model of MLflow.

        Args:
            name: of the model.
            images: after which it was kept.
            score: 1-NNA-CD against the validation split; None without one.
            files: of the model.
        """
        if self.outbox is None:
            return
        facts = {
            "params": self.params | {"images": images},
            "tags": {name: value for name, value in self.tags.items() if not name.startswith("mlflow.")},
            "metrics": {} if score is None else {RUN_SCORE: float(f"{score:.{DIGITS}g}")},
            "dataset": {} if self.dataset is None else self.dataset.to_dict(),
        }
        self.outbox.put_model(name, images, facts, files)

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
        if self.run is None:
            return
        if self.system is not None:
            self.system.stop()
        self.flush()
        self.run.end(status)
        self.run_id = self.run.run_id
        self.run = None
