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

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.config.schema import SCRATCH, Params, Tune, resolution_of
from gan3d.dataset import VoxelDataset, resolution_key
from gan3d.errors import UserError
from gan3d.metrics.validation import ValidationScorer
from gan3d.monitoring import advice
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.stages.train import architecture
from gan3d.tracking.mlflow_callback import MLflowCallback
from gan3d.tracking.provenance import provenance_tags
from gan3d.training.callback import Callback, Row, TrainingView
from gan3d.training.fingerprint import training_fingerprint
from gan3d.training.loop import DivergedError, LoggingSchedule, train
from gan3d.training.stage import build_stage
from gan3d.tuning import space

SHEET = 8  # samples per class on the contact sheet of a trial


class TrialCallback(Callback):
    """Logs a trial to its MLflow run and keeps its time, its rows and its newest samples."""

    def __init__(self, trial: optuna.Trial, recorder: MLflowCallback):
        self.trial, self.recorder = trial, recorder
        self.seconds = 0.0
        self.images = 0.0
        self.samples: tuple[int, np.ndarray, np.ndarray] | None = None

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        """A retry writes the whole curve into a run of its own: the dead trial's run stays as it ended."""
        self.recorder.on_train_begin(images, [], {})
        self.trial.set_user_attr("run_id", self.recorder.run_id)
        self.trial.set_user_attr("continued_at", images)
        mlflow.set_tag("continued_at", images)
        for row in rows:
            self.on_log(row)
        return {}

    def on_log(self, row: Row) -> None:
        self.recorder.on_log(row)
        self.seconds += (row["images"] - self.images) / row["images_per_second"]
        self.images = row["images"]

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        self.samples = images, voxels, labels

    def on_warning(self, images: int, message: str) -> None:
        self.recorder.on_warning(images, message)

    def log_sheet(self) -> None:
        """Log a contact sheet of the newest samples."""
        if self.samples is not None:
            images, voxels, labels = self.samples
            chosen = np.concatenate([np.flatnonzero(labels == label)[:SHEET] for label in np.unique(labels)])
            self.recorder.on_samples(images, voxels[chosen], labels[chosen])


class TrialValidation:
    """The `validate` of a trial's training: scores it, reports the score to Optuna, and prunes.

    Raises:
        optuna.TrialPruned: from a call, with the reason, for a collapsed trial and one that is worse than the others.
    """

    def __init__(self, trial: optuna.Trial, scorer: ValidationScorer, tune: Tune):
        self.trial, self.scorer, self.tune = trial, scorer, tune
        self.single = len(tune.objectives) == 1
        self.reported = set(frozen_of(trial).intermediate_values)
        self.scores: dict[str, float | None] = {}

    def __call__(self, view: TrainingView) -> Row:
        if view.samples is None:  # between two reports, where the trial was stopped
            return {}
        collapsed = advice.collapse(view.row)
        if collapsed:
            self.report(float("nan"), view.images)
            raise optuna.TrialPruned(collapsed)
        self.scores = self.scorer.scores(*view.samples)
        value = self.scores[self.tune.objectives[0]]
        self.report(float("nan") if value is None else value, view.images)
        done = self.tune.images is not None and view.images >= self.tune.images
        if self.single and not done and self.trial.should_prune():
            raise optuna.TrialPruned(f"worse than the other trials after {view.images} images.")
        return {f"validation/{name}": value for name, value in self.scores.items() if value is not None}

    def report(self, value: float, images: int) -> None:
        """Report under a round number of images, since batches reach it a little later."""
        step = images // self.tune.report * self.tune.report
        if self.tune.images is not None and images >= self.tune.images:
            step = self.tune.images
        if self.single and step not in self.reported:  # a retry knows what was reported before it
            self.reported.add(step)
            self.trial.report(value, step)


class TrialRunner:
    """What all trials of a stage share: data, the model to grow from, the scorer."""

    def __init__(self, params: Params, stage: str, project: Project):
        self.params, self.stage, self.project = params, stage, project
        self.data = VoxelDataset(project.voxels, params.gan.conditional)
        self.at = resolution_of(stage)
        previous = params.train.stages[stage].prev
        self.parent = None if previous == SCRATCH else parent(project, stage, previous)
        self.scorer = ValidationScorer(self.data, self.at, params.tune.count, params.tune.draws)

    def start(self, params: Params) -> Any:
        """Networks and first weights for a trial's parameters."""
        return build_stage(self.parent, architecture(params, self.stage, self.data), params.seed, params.gan.threshold)

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
        recorder: MLflowCallback,
        stopped: Callable[[], bool] = lambda: False,
    ) -> tuple[float, ...]:
        """Train a trial and return its scores; its MLflow run ends as the trial does.

        Raises:
            optuna.TrialPruned: with the reason, for a hopeless or collapsed trial.
            KeyboardInterrupt: also when it was `stopped`.
        """
        params, recipe = space.budgeted(self.params, self.stage, values)
        start = self.start(params)
        folder = self.project.checkpoints / "tune" / self.stage / training_fingerprint(self.data, start[2], recipe)
        every = params.tune.report
        schedule = LoggingSchedule(min(params.logging.metrics_every, every), every, every, self.scorer.count)
        callback = TrialCallback(trial, recorder)
        validate = TrialValidation(trial, self.scorer, params.tune)
        monitor = TrainingMonitor(self.data, start, schedule.samples_per_class)
        limit = params.tune.seconds

        def should_stop() -> bool:
            return stopped() or (limit is not None and bool(validate.scores) and callback.seconds >= limit)

        try:
            train(self.data, start, recipe, folder, schedule, callback, monitor, validate, should_stop)
            if stopped() and callback.images < recipe.images:
                raise KeyboardInterrupt
            result = [validate.scores.get(name) for name in params.tune.objectives]
            if None in result:
                raise optuna.TrialPruned("too few of its shapes are not empty for a score.")
        except optuna.TrialPruned as reason:
            end_trial(trial, callback, "KILLED", str(reason), folder)
            raise
        except DivergedError as reason:
            end_trial(trial, callback, "KILLED", str(reason), folder)
            raise optuna.TrialPruned(str(reason)) from None
        except KeyboardInterrupt:
            end_trial(trial, callback, "KILLED", "interrupted; its retry continues from the last checkpoint.", None)
            raise
        except BaseException as error:
            end_trial(trial, callback, "FAILED", f"{type(error).__name__}: {error}", folder)
            raise
        finally:
            keras.backend.clear_session()  # or each trial's graphs would stay
        end_trial(trial, callback, "FINISHED", "", folder)
        return tuple(value for value in result if value is not None)


def parent(project: Project, stage: str, previous: str) -> model_file.TrainedModel:
    """The model that a stage's trials grow from.

    Raises:
        UserError: when it was not trained yet.
    """
    if not (project.model(previous) / "config.json").is_file():
        raise UserError(
            f"{project.model(previous)} is missing, from which the trials of {stage} grow: run"
            f" `dvc repro train@{previous}` first."
        )
    return model_file.load(project.model(previous))


def frozen_of(trial: optuna.Trial) -> optuna.trial.FrozenTrial:
    """The trial as the study has it."""
    return next(one for one in trial.study.get_trials(deepcopy=False) if one.number == trial.number)


def end_trial(trial: optuna.Trial, callback: TrialCallback, status: str, reason: str, folder: Path | None) -> None:
    """Close the trial's run with its last picture; drop its checkpoints, unless a retry needs them."""
    with contextlib.suppress(Exception):  # others may have taken it for dead, and have told the study
        trial.set_user_attr("reason", reason)
    if callback.recorder.outbox is not None:
        callback.log_sheet()
        if reason:
            callback.recorder.outbox.put_tag("reason", reason)
    callback.recorder.end(status)
    with contextlib.suppress(Exception):
        while mlflow.active_run():  # or every later trial would be refused
            mlflow.end_run(status)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def log_untrained(trial: optuna.Trial, recorder: MLflowCallback, status: str, reason: str) -> None:
    """Account in MLflow for a trial that was not trained."""
    recorder.on_train_begin(0, [], {})
    trial.set_user_attr("run_id", recorder.run_id)
    trial.set_user_attr("reason", reason)
    mlflow.set_tag("reason", reason)
    recorder.end(status)


def recorder_for(
    runner: TrialRunner, trial: optuna.Trial, values: dict[str, Any], client: mlflow.MlflowClient, parent: str
) -> MLflowCallback:
    """What writes a trial into a run nested below the study's."""
    params, recipe = space.budgeted(runner.params, runner.stage, values)
    settings = {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}
    if params.tune.images is None:
        settings |= {"stabilise": None, "seconds": params.tune.seconds}
    tags = provenance_tags(runner.project.work) | {
        MLFLOW_PARENT_RUN_ID: parent,
        "stage": resolution_key(runner.at),
        "study": trial.study.study_name,
        "trial": str(trial.number),
    }
    retried = optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history(frozen_of(trial))
    if retried:
        tags |= {"retry_of": str(retried[-1])}
    name = f"{trial.study.study_name} {trial.number}"
    return MLflowCallback(
        client, name, settings | values, tags, runner.data.classes, runner.data.up, mlruns=runner.project.mlruns
    )
