"""One trial: the stage trained with other values under the study's budget, watched, scored, and ended early."""

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import optuna
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from gan3d import snapshot
from gan3d.dataset import VoxelDataset, key
from gan3d.errors import UserError
from gan3d.evaluation.judge import Judge
from gan3d.params import SCRATCH, Params, resolution
from gan3d.project import Project
from gan3d.stages.train import begun
from gan3d.tracking.facts import cause
from gan3d.tracking.recorder import Recorder
from gan3d.training import health
from gan3d.training.identity import identity
from gan3d.training.loop import Rhythm, Row, Silent, train
from gan3d.tuning import space

PICTURED = 8  # shapes a class in the picture of a trial


class TimeUpError(Exception):
    """The trial has had its seconds."""


class Watch(Silent):
    """Observes the training of a trial: records it, scores it at every look, and raises to end it."""

    def __init__(
        self, trial: optuna.Trial, judge: Judge, params: Params, recorder: Recorder, stopped: Callable[[], bool]
    ):
        self.trial, self.judge, self.tune = trial, judge, params.tune
        self.recorder, self.stopped = recorder, stopped
        self.row: Row = {}
        self.single = len(params.tune.objectives) == 1
        self.reported = set(frozen_of(trial).intermediate_values)
        self.seconds = 0.0
        self.images = 0.0
        self.scores: dict[str, float | None] = {}
        self.last: tuple[int, np.ndarray, np.ndarray] | None = None

    def started(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        """A retry writes the whole curve into a run of its own: the dead trial's run stays as it ended."""
        self.recorder.started(images, [], {})
        self.trial.set_user_attr("run_id", self.recorder.run_id)
        self.trial.set_user_attr("continued_at", images)
        mlflow.set_tag("continued_at", images)
        for row in rows:
            self.logged(row)
        return {}

    def logged(self, row: Row) -> None:
        self.recorder.logged(row)
        self.row = row
        self.seconds += (row["images"] - self.images) / row["images_per_second"]
        self.images = row["images"]

    def pictured(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        if self.stopped():
            raise KeyboardInterrupt
        self.last = images, voxels, labels
        collapsed = health.collapse(self.row)
        if collapsed:
            self.report(float("nan"), images)
            raise optuna.TrialPruned(collapsed)
        self.scores = self.judge.scores(voxels, labels)
        known = {f"validation/{name}": value for name, value in self.scores.items() if value is not None}
        if self.recorder.outbox is not None:
            self.recorder.outbox.put_metrics([known | {"images": images}])
        value = self.scores[self.tune.objectives[0]]
        self.report(float("nan") if value is None else value, images)
        done = self.tune.images is not None and images >= self.tune.images
        if self.single and not done and self.trial.should_prune():
            raise optuna.TrialPruned(f"hopeless beside the other trials after {images} images.")
        if self.tune.seconds is not None and self.seconds >= self.tune.seconds:
            raise TimeUpError

    def warned(self, images: int, message: str) -> None:
        """A collapse ends the trial in `pictured`, and losses that are not finite end the training itself."""
        self.recorder.warned(images, message)

    def report(self, value: float, images: int) -> None:
        """Looks are compared by round numbers of images, since batches reach them a little later."""
        step = images // self.tune.report * self.tune.report
        if self.tune.images is not None and images >= self.tune.images:
            step = self.tune.images
        if self.single and step not in self.reported:  # a retry knows what was reported before it
            self.reported.add(step)
            self.trial.report(value, step)

    def picture(self) -> None:
        """The fixed latents at the end of the trial."""
        if self.last is not None:
            images, voxels, labels = self.last
            chosen = np.concatenate([np.flatnonzero(labels == label)[:PICTURED] for label in np.unique(labels)])
            self.recorder.pictured(images, voxels[chosen], labels[chosen])


class Arena:
    """What all trials of a stage share: data, the model to grow from, the judge."""

    def __init__(self, params: Params, stage: str, project: Project):
        self.params, self.stage, self.project = params, stage, project
        self.data = VoxelDataset(project.voxels, params.gan.conditional)
        self.at = resolution(stage)
        previous = params.train.stages[stage].prev
        self.parent = None if previous == SCRATCH else parent(project, stage, previous)
        self.judge = Judge(self.data, self.at, params.tune.count, params.tune.draws)

    def start(self, params: Params) -> Any:
        """Networks and first weights for a trial's parameters."""
        return begun(params, self.stage, self.data, self.parent)

    def inputs(self) -> str:
        """Hash of all that the trials of a study have in common, so that scores of different causes never meet."""
        recipe = dataclasses.asdict(self.params.recipe(self.stage))
        fixed = {name: value for name, value in recipe.items() if name not in self.params.tune.space}
        widths = "searched" if "width" in self.params.tune.space else self.params.widths(self.stage)
        splits = [self.data.fingerprint(split, self.at) for split in ("train", "validation")]
        gan, train = self.params.gan, self.params.train
        settings = [splits, fixed, widths, gan.latent, gan.threshold, train.precision, train.backend]
        digest = hashlib.sha256(json.dumps(settings).encode())
        for weights in (self.parent.generator, self.parent.discriminator) if self.parent else ():
            for name, value in weights.items():
                digest.update(name.encode() + value.tobytes())
        return digest.hexdigest()[:16]

    def run(
        self,
        trial: optuna.Trial,
        values: dict[str, Any],
        recorder: Recorder,
        stopped: Callable[[], bool] = lambda: False,
    ) -> tuple[float, ...]:
        """Train a trial and return its scores; its MLflow run ends as the trial does.

        Raises:
            optuna.TrialPruned: with the reason, for a hopeless or collapsed trial.
            KeyboardInterrupt: also when it was `stopped`.
        """
        params, recipe = space.budgeted(self.params, self.stage, values)
        start = self.start(params)
        folder = self.project.checkpoints / "tune" / self.stage / identity(self.data, start[2], recipe)
        every, track = params.tune.report, params.track
        rhythm = Rhythm(min(track.log, every), every, every, self.judge.count)
        watch = Watch(trial, self.judge, self.params, recorder, stopped)
        try:
            with contextlib.suppress(TimeUpError):
                train(self.data, start, recipe, folder, rhythm, watch)
            result = [watch.scores[name] for name in params.tune.objectives]
            if None in result:
                raise optuna.TrialPruned("too few of its shapes are not empty for a score.")
        except optuna.TrialPruned as reason:
            ended(trial, watch, "KILLED", str(reason), folder)
            raise
        except health.DivergedError as reason:
            ended(trial, watch, "KILLED", str(reason), folder)
            raise optuna.TrialPruned(str(reason)) from None
        except KeyboardInterrupt:
            ended(trial, watch, "KILLED", "interrupted; its retry continues from the last checkpoint.", None)
            raise
        except BaseException as error:
            ended(trial, watch, "FAILED", f"{type(error).__name__}: {error}", folder)
            raise
        finally:
            keras.backend.clear_session()  # or each trial's graphs would stay
        ended(trial, watch, "FINISHED", "", folder)
        return tuple(value for value in result if value is not None)


def parent(project: Project, stage: str, previous: str) -> snapshot.Snapshot:
    """The model that a stage's trials grow from.

    Raises:
        UserError: when it was not trained yet.
    """
    if not (project.model(previous) / "config.json").is_file():
        raise UserError(
            f"{project.model(previous)} is missing, from which the trials of {stage} grow: run"
            f" `dvc repro train@{previous}` first."
        )
    return snapshot.load(project.model(previous))


def frozen_of(trial: optuna.Trial) -> optuna.trial.FrozenTrial:
    """The trial as the study has it."""
    return next(one for one in trial.study.get_trials(deepcopy=False) if one.number == trial.number)


def ended(trial: optuna.Trial, watch: Watch, status: str, reason: str, folder: Path | None) -> None:
    """Close the trial's run with its last picture; drop its checkpoints, unless a retry needs them."""
    with contextlib.suppress(Exception):  # others may have taken it for dead, and have told the study
        trial.set_user_attr("reason", reason)
    if watch.recorder.outbox is not None:
        watch.picture()
        if reason:
            watch.recorder.outbox.put_tag("reason", reason)
    watch.recorder.end(status)
    with contextlib.suppress(Exception):
        while mlflow.active_run():  # or every later trial would be refused
            mlflow.end_run(status)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def ended_without_run(trial: optuna.Trial, recorder: Recorder, status: str, reason: str) -> None:
    """Account in MLflow for a trial that was not trained."""
    recorder.started(0, [], {})
    trial.set_user_attr("run_id", recorder.run_id)
    trial.set_user_attr("reason", reason)
    mlflow.set_tag("reason", reason)
    recorder.end(status)


def recorder_for(
    arena: Arena, trial: optuna.Trial, values: dict[str, Any], client: mlflow.MlflowClient, parent: str
) -> Recorder:
    """What writes a trial into a run nested below the study's."""
    params, recipe = space.budgeted(arena.params, arena.stage, values)
    settings = {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}
    if params.tune.images is None:
        settings |= {"stabilise": None, "seconds": params.tune.seconds}
    tags = cause(arena.project.work) | {
        MLFLOW_PARENT_RUN_ID: parent,
        "stage": key(arena.at),
        "study": trial.study.study_name,
        "trial": str(trial.number),
    }
    retried = optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history(frozen_of(trial))
    if retried:
        tags |= {"retry_of": str(retried[-1])}
    name = f"{trial.study.study_name} {trial.number}"
    return Recorder(
        client, name, settings | values, tags, arena.data.classes, arena.data.up, mlruns=arena.project.mlruns
    )
