"""One trial: a stage trained with other values within the study's budget, logged, scored, and ended early."""

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from gan3d import model_file
from gan3d.config.project import Project
from gan3d.config.schema import SCRATCH, Params, Tune, resolution_of
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.metrics.excess_scorer import ExcessScorer
from gan3d.metrics.validation import ValidationScorer
from gan3d.monitoring import advice
from gan3d.monitoring.checkpoint_folder import checkpoint_folder
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.stages.spec import stage_spec
from gan3d.tracking.mlflow_callback import MLflowCallback
from gan3d.tracking.provenance import provenance_tags
from gan3d.training.callback import Callback, Row, TrainingView
from gan3d.training.loop import DivergedError, LoggingSchedule, train
from gan3d.training.stage import build_stage
from gan3d.tuning import space
from gan3d.tuning.gallery import keep_turntable

SHEET = 8  # samples per class on the sample sheet of a trial


class TrialCallback(Callback):
    """Logs a trial to its MLflow run; keeps its training time and its newest samples."""

    def __init__(self, trial: optuna.Trial, tracker: MLflowCallback):
        self.trial, self.tracker = trial, tracker
        self.seconds = 0.0
        self.images = 0.0
        self.samples: tuple[int, np.ndarray, np.ndarray] | None = None

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        """Log the whole curve to a new run, also for a retry; the failed trial keeps its own."""
        self.tracker.on_train_begin(images, [], {})
        self.trial.set_user_attr("run_id", self.tracker.run_id)
        self.trial.set_user_attr("continued_at", images)
        assert self.tracker.outbox is not None
        self.tracker.outbox.put_tag("continued_at", str(images))
        for row in rows:
            self.on_log(row)
        return {}

    def on_log(self, row: Row) -> None:
        self.tracker.on_log(row)
        self.seconds = self.seconds_after(row)
        self.images = row["images"]

    def seconds_after(self, row: Row) -> float:
        """Seconds of training once this row is logged."""
        return self.seconds + (row["images"] - self.images) / row["images_per_second"]

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        self.samples = images, voxels, labels

    def on_warning(self, images: int, message: str) -> None:
        self.tracker.on_warning(images, message)

    def keep_turntable(self) -> None:
        """Keep the newest samples for the dashboard's gallery."""
        if self.samples is not None:
            keep_turntable(self.trial, *self.samples[1:], self.tracker.up, self.tracker.mlruns)

    def log_sheet(self) -> None:
        """Log a sample sheet of the newest samples."""
        if self.samples is not None:
            images, voxels, labels = self.samples
            chosen = np.concatenate([np.flatnonzero(labels == label)[:SHEET] for label in np.unique(labels)])
            self.tracker.on_samples(images, voxels[chosen], labels[chosen])


class TimeLimitError(Exception):
    """The trial has trained for `tune.seconds`."""


class TrialValidation:
    """The `validate` of a trial's training: scores it, reports the score to Optuna, and ends it early.

    The loop does not log a row whose validation raises, so what ends a trial logs its last row and samples here.

    Raises:
        optuna.TrialPruned: from a call, with the reason, for a collapsed trial and one that is worse than the others.
        TimeLimitError: from a call, once the trial has had its seconds.
    """

    def __init__(self, trial: optuna.Trial, scorer: ValidationScorer, tune: Tune, callback: TrialCallback):
        self.trial, self.scorer, self.tune, self.callback = trial, scorer, tune, callback
        self.single = len(tune.objectives) == 1
        self.reported = set(frozen_trial(trial).intermediate_values)
        self.scores: dict[str, float | None] = {}

    def __call__(self, view: TrainingView) -> Row:
        if view.samples is None:  # stopped between two reports
            return {}
        collapsed = advice.collapse(view.row)
        if collapsed:
            self.report(float("nan"), view.images)
            raise self.ended(view, {}, optuna.TrialPruned(collapsed))
        self.scores = self.scorer.scores(*view.samples)
        found = {f"validation/{name}": value for name, value in self.scores.items() if value is not None}
        value = self.scores[self.tune.objectives[0]]
        self.report(float("nan") if value is None else value, view.images)
        done = self.tune.images is not None and view.images >= self.tune.images
        if self.single and not done and self.trial.should_prune():
            reason = f"worse than the other trials after {view.images} images."
            raise self.ended(view, found, optuna.TrialPruned(reason))
        if self.tune.seconds is not None and self.callback.seconds_after(view.row) >= self.tune.seconds:
            raise self.ended(view, found, TimeLimitError())
        return found

    def ended(self, view: TrainingView, scores: Row, reason: Exception) -> Exception:
        """Log the last row and samples of a trial that ends here; returns the reason."""
        self.callback.on_log(view.row | scores)
        if view.samples is not None:
            self.callback.on_samples(view.images, *view.samples)
        return reason

    def report(self, value: float, images: int) -> None:
        """Report under a round number of images, since batches reach it a little later."""
        step = images // self.tune.report * self.tune.report
        if self.tune.images is not None and images >= self.tune.images:
            step = self.tune.images
        if self.single and step not in self.reported:  # a retry inherits the earlier reports
            self.reported.add(step)
            self.trial.report(value, step)


class TrialRunner:
    """What all trials of a stage share: the data, the model they grow from, and the scorer."""

    def __init__(self, params: Params, stage: str, project: Project):
        self.params, self.stage, self.project = params, stage, project
        self.data = VoxelDataset(project.voxels, params.gan.conditional)
        self.resolution = resolution_of(stage)
        previous = params.train.stages[stage].prev
        self.parent = None if previous == SCRATCH else load_parent(project, stage, previous)
        kind = ExcessScorer if "excess" in params.tune.objectives else ValidationScorer
        self.scorer = kind(self.data, self.resolution, params.tune.count, params.tune.draws)

    def fingerprint(self) -> str:
        """Hash of everything that the trials of a study share; without it, their scores cannot be compared."""
        recipe = dataclasses.asdict(self.params.recipe(self.stage))
        fixed = {name: value for name, value in recipe.items() if name not in self.params.tune.space}
        widths = "searched" if "width" in self.params.tune.space else self.params.widths(self.stage)
        splits = [self.data.fingerprint(split, self.resolution) for split in ("train", "validation")]
        gan, train = self.params.gan, self.params.train
        settings = [splits, fixed, widths, gan.latent, gan.threshold, train.precision, train.backend]
        digest = hashlib.sha256(json.dumps(settings).encode())
        for weights in (self.parent.generator, self.parent.discriminator) if self.parent else ():
            model_file.hash_weights(digest, weights)
        return digest.hexdigest()[:16]

    def run(
        self,
        trial: optuna.Trial,
        values: dict[str, Any],
        tracker: MLflowCallback,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> tuple[float, ...]:
        """Train a trial and return its scores; its MLflow run ends as the trial does.

        Raises:
            optuna.TrialPruned: with the reason, for a trial that collapsed, diverged, or is worse than the others.
            KeyboardInterrupt: also if `should_stop`.
        """
        params, recipe = space.with_budget(self.params, self.stage, values)
        start = build_stage(stage_spec(params, self.stage, self.data), self.parent)
        folder = checkpoint_folder(self.project.checkpoints / "tune", self.stage, self.data, start, recipe)
        every = params.tune.report
        schedule = LoggingSchedule(min(params.logging.metrics_every, every), every, every, self.scorer.count)
        callback = TrialCallback(trial, tracker)
        validate = TrialValidation(trial, self.scorer, params.tune, callback)
        monitor = TrainingMonitor(self.data, start, schedule.samples_per_class)
        try:
            with contextlib.suppress(TimeLimitError):
                train(self.data, start, recipe, folder, schedule, callback, monitor, validate, should_stop)
                if should_stop() and callback.images < recipe.images:
                    raise KeyboardInterrupt
            scores = [validate.scores[name] for name in params.tune.objectives]
            if None in scores:
                raise optuna.TrialPruned("too few of its samples are non-empty for a score.")
        except optuna.TrialPruned as reason:
            end_trial(trial, callback, "KILLED", str(reason), folder)
            raise
        except DivergedError as reason:
            end_trial(trial, callback, "KILLED", str(reason), folder)
            raise optuna.TrialPruned(str(reason)) from None
        except KeyboardInterrupt:
            end_trial(trial, callback, "KILLED", "interrupted; its retry resumes from the last checkpoint.", None)
            raise
        except BaseException as error:
            end_trial(trial, callback, "FAILED", f"{type(error).__name__}: {error}", folder)
            raise
        finally:
            keras.backend.clear_session()  # releases the trial's graphs
        end_trial(trial, callback, "FINISHED", "", folder)
        return tuple(score for score in scores if score is not None)


def load_parent(project: Project, stage: str, previous: str) -> model_file.TrainedModel:
    """The model that a stage's trials grow from.

    Raises:
        UserError: if it is not trained yet.
    """
    if not (project.model(previous) / "config.json").is_file():
        raise UserError(
            f"{project.model(previous)} is missing, from which the trials of {stage} grow: run"
            f" `dvc repro train@{previous}` first."
        )
    return model_file.load(project.model(previous))


def frozen_trial(trial: optuna.Trial) -> optuna.trial.FrozenTrial:
    """The trial as the study has it."""
    return next(one for one in trial.study.get_trials(deepcopy=False) if one.number == trial.number)


def end_trial(trial: optuna.Trial, callback: TrialCallback, status: str, reason: str, folder: Path | None) -> None:
    """Log the sample sheet and the reason, end the run, and delete the checkpoints.

    Args:
        folder: of the checkpoints; None keeps them, for a retry.
    """
    with contextlib.suppress(Exception):  # another worker may have failed the trial already
        trial.set_user_attr("reason", reason)
    if callback.tracker.outbox is not None:
        callback.log_sheet()
        if folder is not None:
            with contextlib.suppress(Exception):  # likewise; a picture is no reason to lose a trial
                callback.keep_turntable()
        if reason:
            callback.tracker.outbox.put_tag("reason", reason)
    callback.tracker.end(status)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def log_untrained(trial: optuna.Trial, tracker: MLflowCallback, status: str, reason: str) -> None:
    """Log a trial that is not trained."""
    tracker.on_train_begin(0, [], {})
    trial.set_user_attr("run_id", tracker.run_id)
    trial.set_user_attr("reason", reason)
    if tracker.outbox is not None:
        tracker.outbox.put_tag("reason", reason)
    tracker.end(status)


def make_tracker(
    runner: TrialRunner, trial: optuna.Trial, values: dict[str, Any], client: MlflowClient, parent_run: str
) -> MLflowCallback:
    """What logs a trial to a run nested below the study's."""
    params, recipe = space.with_budget(runner.params, runner.stage, values)
    settings = {name: getattr(recipe, name) for name in recipe.__dataclass_fields__}
    if params.tune.images is None:
        settings |= {"stabilise": None, "seconds": params.tune.seconds}
    tags = provenance_tags(runner.project.work) | {
        MLFLOW_PARENT_RUN_ID: parent_run,
        "stage": runner.stage,
        "study": trial.study.study_name,
        "trial": str(trial.number),
    }
    retried = optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history(frozen_trial(trial))
    if retried:
        tags |= {"retry_of": str(retried[-1])}
    name = f"{trial.study.study_name} {trial.number}"
    return MLflowCallback(
        client,
        name,
        settings | values,
        tags,
        runner.data.classes,
        runner.data.up,
        mlruns=runner.project.mlruns,
        dead="FAILED",
    )
