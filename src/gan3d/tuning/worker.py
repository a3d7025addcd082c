"""One process's part in a study: it starts trials until there are enough, and retries those of dead workers."""

import os
import time
from collections.abc import Callable
from typing import Any

import optuna
from mlflow import MlflowClient
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from gan3d.errors import UserError
from gan3d.tracking.mlflow_callback import MLflowCallback
from gan3d.tracking.store import connect
from gan3d.tuning import report, space
from gan3d.tuning import study as studies
from gan3d.tuning.samplers import make_sampler
from gan3d.tuning.study_spec import StudySpec
from gan3d.tuning.trial import TrialRunner, log_untrained, make_tracker

POLL_SECONDS = 2.0  # between two checks of the trials that other workers run
MAX_INITIAL_FAILURES = 3  # without a success; then the trials' values are not the cause


class Worker:
    """Runs trials of a study in this process.

    Args:
        log: takes one line per event.
        should_stop: asked between trials and after each chunk of steps; if true, the work ends as by Ctrl-C.
    """

    def __init__(
        self, spec: StudySpec, log: Callable[[str], None] = print, should_stop: Callable[[], bool] = lambda: False
    ):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.spec, self.log, self.should_stop = spec, log, should_stop
        self.client: MlflowClient = connect(spec.project.mlruns)
        self.runner = TrialRunner(spec.params, spec.stage, spec.project)
        self.study = studies.open_study(spec, self.runner.fingerprint(), self.client)
        self.parent_run: str = self.study.user_attrs[studies.PARENT_RUN]
        self.lock = spec.lock()
        self.current: int | None = None
        self.before, self.started = 0, time.monotonic()  # trials that were finished at the start
        self.user_error: UserError | None = None

    def run(self) -> optuna.Study:
        """Run trials until the study is done, then write the report into the parent run.

        Raises:
            UserError: if trials cannot be run at all.
            KeyboardInterrupt: once all runs are closed and the interrupted trial is queued again.
        """
        counts = studies.count_trials(self.study)
        self.before, self.started = counts.finished, time.monotonic()
        if counts.original == counts.waiting:
            budget = f"{self.spec.tune.images:,} images" if self.spec.tune.images else f"{self.spec.tune.seconds:g} s"
            self.log(f"new study {self.spec.name}: {self.spec.tune.trials} trials of {budget}")
        elif not counts.waiting:
            self.log(f"study {self.spec.name} continues; trials so far: {counts.original}")
        with self.spec.translate_database_errors():
            try:
                while self.run_next_trial():
                    pass
            except (KeyboardInterrupt, UserError):
                self._close(interrupted=True)
                raise
            self._close(interrupted=False)
        return self.study

    def run_next_trial(self) -> bool:
        """Run a trial, or wait for other workers; False once the study is done."""
        if self.should_stop():
            raise KeyboardInterrupt
        self.lock.acquire()  # until the trial has its values: no trial too many, and no values twice
        try:
            self._retry_lost_trials()
            counts = studies.count_trials(self.study)
            if not counts.waiting and counts.original >= self.spec.tune.trials:
                self.lock.release()
                if counts.running:
                    time.sleep(POLL_SECONDS)
                return bool(counts.running)
            self.study.sampler = make_sampler(self.spec, len(self.study.get_trials(deepcopy=False)))
            try:
                self.study.optimize(self._objective, n_trials=1, catch=(Exception,))
            except ValueError as error:  # another worker took this one for dead and failed its trial
                self.log(f"a trial was lost: {error}")
        finally:
            self.lock.release()
        if self.user_error:
            raise self.user_error
        with self.lock:  # MLflow fails if two processes write the same tag at once
            report.log_progress(self.study, self.client, self.parent_run, self.spec)
        self.log(report.progress(self.study, self.spec, self.before, time.monotonic() - self.started))
        self._check_not_all_failed()
        return True

    def _retry_lost_trials(self) -> None:
        """Fail and queue again the trials whose workers died."""
        optuna.storages.fail_stale_trials(self.study)
        for orphan in studies.orphans(self.study, studies.MISSED_HEARTBEATS * self.spec.tune.heartbeat):
            self.study.tell(orphan.number, state=TrialState.FAIL)
            studies.stale_trial_callback(self.client)(self.study, orphan)

    def _objective(self, trial: optuna.Trial) -> Any:
        trial.set_user_attr(studies.WORKER_PID, os.getpid())
        self.current = trial.number
        values = space.suggest(trial, self.spec.tune.space)
        duplicate = self._find_duplicate(trial, values)
        tracker = make_tracker(self.runner, trial, values, self.client, self.parent_run)
        self.lock.release()
        title = f"{self.spec.stage} trial {trial.number}"
        title += f" ({', '.join(f'{name} {value:g}' for name, value in values.items())})"
        try:
            if duplicate is not None:
                result = self._copy_result(trial, duplicate, tracker)
            else:
                result = self.runner.run(trial, values, tracker, self.should_stop)
        except optuna.TrialPruned as reason:
            self.log(f"{title} ended early: {reason}")
            raise
        except KeyboardInterrupt:
            self.log(f"{title} interrupted")
            raise
        except UserError as error:
            self.user_error = error
            raise
        except Exception as error:
            self.log(f"{title} failed: {error}")
            raise
        scores = ", ".join(f"{n} {v:.4f}" for n, v in zip(self.spec.tune.objectives, result, strict=True))
        self.log(f"{title}: {scores}")
        return result

    def _find_duplicate(self, trial: optuna.Trial, values: dict[str, Any]) -> FrozenTrial | None:
        """An earlier trial with the same values, whose result this one would repeat."""
        usable = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        for other in self.study.get_trials(deepcopy=False, states=usable):
            if other.number < trial.number and other.params.items() >= values.items():
                return other
        return None

    def _copy_result(self, trial: optuna.Trial, duplicate: FrozenTrial, tracker: MLflowCallback) -> Any:
        trial.set_user_attr("same_as", duplicate.number)
        complete = duplicate.state == TrialState.COMPLETE
        reason = f"same values as trial {duplicate.number}; not trained again."
        log_untrained(trial, tracker, "FINISHED" if complete else "KILLED", reason)
        if complete:
            return tuple(duplicate.values)
        raise optuna.TrialPruned(reason)

    def _check_not_all_failed(self) -> None:
        trials = self.study.get_trials(deepcopy=False)
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        succeeded = any(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
        if len(failed) >= MAX_INITIAL_FAILURES and not succeeded:
            reason = failed[-1].user_attrs.get("reason", "unknown")
            raise UserError(
                f"the first {len(failed)} trials of {self.spec.name} all failed ({reason}): fix that first."
            )

    def _close(self, interrupted: bool) -> None:
        """Queue the interrupted trial again, write the report, and end the parent run if no other worker goes on."""
        if interrupted and self.current is not None:
            trials = self.study.get_trials(deepcopy=True)
            retried = {number for trial in trials for number in RetryHeartbeatStaleTrialCallback.retry_history(trial)}
            for trial in trials:
                if trial.number == self.current and trial.state == TrialState.FAIL and trial.number not in retried:
                    studies.retry(self.study, trial, max_retries=None)
        with self.lock:
            report.write(self.study, self.client, self.parent_run, self.spec)
            if not studies.count_trials(self.study).running:
                self.client.set_terminated(self.parent_run, "KILLED" if interrupted else "FINISHED")
