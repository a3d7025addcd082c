"""A run in MLflow that never holds up the work it tells of."""

import sys
import time
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from gan3d.tracking.delivery import end_dead_runs
from gan3d.tracking.entries import new_id
from gan3d.tracking.experiment_run import ExperimentRun
from gan3d.tracking.limits import limit_requests, seconds
from gan3d.tracking.outbox import Outbox
from gan3d.tracking.store import LazyClient, parent_run


class TrackedRun:
    """A run whose creation, content and end all go through an outbox.

    Args:
        client: of `gan3d.tracking.store.connect_later`.
        mlruns: folder that holds the outboxes.
        name: of the run.
        params: of the run.
        tags: of the run.
        dataset: input of the run, from `mlflow.data`.
        known: id of a run to go on with, as `id` of an earlier one.
        dead: status of the run if this process dies.
        experiment: that the run is a stage of.
    """

    def __init__(
        self,
        client: MlflowClient | LazyClient,
        mlruns: Path,
        name: str,
        params: dict[str, Any],
        tags: dict[str, str],
        dataset: Any = None,
        known: str | None = None,
        dead: str = "KILLED",
        experiment: ExperimentRun | None = None,
    ):
        limit_requests()
        self.client, self.name, self.folder = client, name, mlruns / "outbox"
        self.patience = seconds()
        self.others: list[Outbox] = []
        self.experiment = experiment
        described = None if dataset is None else dataset.to_dict()
        if experiment is not None:
            self.others.append(experiment.open(client, self.folder, described))
            tags = {MLFLOW_PARENT_RUN_ID: experiment.experiment.id} | tags
        elif parent := parent_run():
            tags = {MLFLOW_PARENT_RUN_ID: parent} | tags
        self.outbox = Outbox(client, known or new_id(), self.folder, dead)
        self.outbox.put_start(name, params, resolve_tags() | tags, described)
        end_dead_runs(self.folder)

    @property
    def id(self) -> str:
        """What `known` takes; MLflow need not know it yet."""
        return self.outbox.id

    @property
    def run_id(self) -> str:
        """The run's id in MLflow, or `id` until it has one."""
        return self.outbox.run_id

    def wait_for_start(self) -> str:
        """Wait a few seconds for the run's id in MLflow; returns it, or `id`."""
        start = time.monotonic()
        self.outbox.wait_for_start(self.patience / 2)
        self.patience -= time.monotonic() - start
        return self.run_id

    def other(self, run_id: str) -> Outbox:
        """The outbox of another run, such as that of a training to which an evaluation adds its scores."""
        self.others.append(Outbox(self.client, run_id, self.folder))
        return self.others[-1]

    def end(self, status: str = "FINISHED") -> None:
        """End the run and wait seconds for the delivery; what is left stays for `gan3d sync`, with a warning."""
        self.outbox.put_end(status)
        if self.experiment is not None:
            self.experiment.end(status, self.run_id)
        if isinstance(self.client, LazyClient):
            self.client.wait_for_creation()
        until = time.monotonic() + self.patience
        left, why = 0, ""
        for box in (self.outbox, *self.others):
            kept = box.close(until - time.monotonic())
            if box.gone and box is not self.outbox:
                print(f"warning: {box.last_error}, so {self.name} adds nothing to it.", file=sys.stderr)
                box.discard()
                continue
            left += kept
            why = why or (box.last_error if kept else "")
        if left:
            print(
                f"warning: {left} entries of {self.name} did not reach MLflow ({why}): they are kept in {self.folder};"
                " run `gan3d sync` when MLflow is back.",
                file=sys.stderr,
            )
        if lost := self.outbox.lost:
            print(
                f"warning: not all of {self.name} could be kept for MLflow in {self.folder} ({lost}): its files are"
                " whole without it.",
                file=sys.stderr,
            )
