"""What a stage tells of the experiment that it belongs to: the outbox of the parent run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from gan3d.tracking.experiment import Experiment, changed_text, relevant
from gan3d.tracking.experiment_note import experiment_note
from gan3d.tracking.links import NOTE
from gan3d.tracking.outbox import Outbox
from gan3d.tracking.store import LazyClient, parent_run


class ExperimentRun:
    """The parent run, as one of its stages sees it: it runs while a stage does, and ends as that does.

    Args:
        experiment: of `gan3d.tracking.experiment.find_experiment`.
        stage: that this process runs, such as `r16` or `evaluate`.
        settings: all parameters, as a tree.
        main: parameters of the final stage that people compare first, by name.
        tags: of the run.
    """

    def __init__(
        self,
        experiment: Experiment,
        stage: str,
        settings: Mapping[str, Any],
        main: Mapping[str, Any],
        tags: Mapping[str, str],
    ):
        self.experiment, self.stage, self.settings, self.main = experiment, stage, settings, main
        self.tags = {name: value for name, value in tags.items() if name != "dvc.stage"}
        self.outbox: Outbox | None = None

    def open(self, client: MlflowClient | LazyClient, folder: Path, dataset: Mapping[str, str] | None = None) -> Outbox:
        """Create the run, or go on with it."""
        changed = self.experiment.changed
        params = {name: new for name, (_, new) in changed.items()} | dict(self.main) | relevant(self.settings)
        tags = resolve_tags() | self.tags | {"changed": changed_text(changed) or "–", NOTE: self.note()}
        if caller := parent_run():
            tags[MLFLOW_PARENT_RUN_ID] = caller
        self.outbox = Outbox(client, self.experiment.id, folder, "KILLED")
        self.outbox.put_start(self.experiment.title, params, tags, None if dataset is None else dict(dataset))
        return self.outbox

    def tell(self, **facts: Any) -> None:
        """Add facts to the run's description."""
        self.experiment.tell(**facts)

    def tell_stages(self, runs: Mapping[str, str]) -> None:
        """Tell which runs the earlier stages come from: those that are not of this experiment are from the cache."""
        own = self.experiment.known.get("stages", {})
        self.tell(stages={name: {"run": run, "cached": True} for name, run in runs.items() if name not in own})

    def put_metrics(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Queue rows of metrics, each with its step under `images`."""
        if self.outbox is not None:
            self.outbox.put_metrics([dict(row) for row in rows if len(row) > 1])

    def put_image(self, key: str, step: int, pixels: np.ndarray) -> None:
        """Queue one image of a series."""
        if self.outbox is not None:
            self.outbox.put_image(key, step, pixels)

    def put_files(self, path: Path, artifact_folder: str) -> None:
        """Queue a file, or a folder's content."""
        if self.outbox is not None:
            self.outbox.put_files(path, artifact_folder)

    def end(self, status: str, run: str) -> None:
        """Queue the description and the end of the run, which the next stage opens again.

        Args:
            status: of this stage.
            run: id of this stage's run.
        """
        if self.outbox is not None:
            self.tell(stages={self.stage: {"run": run, "status": status}})
            self.outbox.put_tag(NOTE, self.note())
            self.outbox.put_end(status)

    def note(self) -> str:
        """The run's description."""
        return experiment_note(self.experiment, self.tags)
