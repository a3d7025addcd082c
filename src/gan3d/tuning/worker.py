"""What a worker does: begin trials of a study until there are enough, and take up those whose worker died."""

import os
import time
from collections.abc import Callable
from typing import Any

import optuna
from mlflow import MlflowClient
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from gan3d.errors import UserError
from gan3d.tracking.store import connect
from gan3d.tuning import report, space
from gan3d.tuning import study as studies
from gan3d.tuning.study_spec import StudySpec
from gan3d.tuning.trial import TrialRunner, log_untrained, recorder_for

Say = Callable[[str], None]

POLL = 2.0  # seconds between two looks at trials that others run
HOPELESS = 3  # trials that failed while none went well: the fault is not in their values


class Worker:
    """A process's part in a study.

    Args:
        stopped: asked between trials and at every look at one; once it is true, the work ends as by Ctrl-C.
    """

    def __init__(self, task: StudySpec, say: Say = print, stopped: Callable[[], bool] = lambda: False):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.task, self.say, self.stopped = task, say, stopped
        self.client: MlflowClient = connect(task.project.mlruns)
        self.runner = TrialRunner(task.params, task.stage, task.project)
        self.study = studies.open_study(task, self.runner.inputs(), self.client)
        self.parent: str = self.study.user_attrs[studies.PARENT]
        self.turn = task.turn()
        self.current: int | None = None
        self.fault: UserError | None = None

    def work(self) -> optuna.Study:
        """Begin trials until all are done, here or elsewhere; then write the report into the parent run.

        Raises:
            UserError: when trials cannot be run at all.
            KeyboardInterrupt: after everything was closed; the trial that ran is queued again.
        """
        first, waiting, _ = studies.begun(self.study)
        if first and not waiting:
            self.say(f"study {self.task.name} goes on; trials so far: {first}")
        with self.task.reached():
            try:
                while self.one():
                    pass
            except (KeyboardInterrupt, UserError):
                self._close(interrupted=True)
                raise
            self._close(interrupted=False)
        return self.study

    def one(self) -> bool:
        """Begin a trial or wait for others; False when the study is done."""
        if self.stopped():
            raise KeyboardInterrupt
        self.turn.acquire()  # until the trial has its values: so there is none too many, and no two are the same
        try:
            optuna.storages.fail_stale_trials(self.study)
            for orphan in studies.orphans(self.study, studies.SILENT * self.task.tune.heartbeat):
                self.study.tell(orphan.number, state=TrialState.FAIL)
                studies.stale_trial_callback(self.client)(self.study, orphan)
            first, waiting, running = studies.begun(self.study)
            if not waiting and first >= self.task.tune.trials:
                self.turn.release()
                if running:
                    time.sleep(POLL)
                return bool(running)
            before = len(self.study.get_trials(deepcopy=False))
            self.study.sampler = studies.sampler(self.task, before)
            try:
                self.study.optimize(self._objective, n_trials=1, catch=(Exception,))
            except ValueError as error:  # others took this worker for dead and have failed its trial
                self.say(f"a trial was lost: {error}")
        finally:
            self.turn.release()
        if self.fault:
            raise self.fault
        with self.turn:  # two that write the same tag at once are an error of MLflow's
            report.progress(self.study, self.client, self.parent, self.task)
        self._not_hopeless()
        return True

    def _objective(self, trial: optuna.Trial) -> Any:
        trial.set_user_attr(studies.BEGUN, os.getpid())
        self.current = trial.number
        values = space.suggest(trial, self.task.tune.space)
        twin = self._twin(trial, values)
        recorder = recorder_for(self.runner, trial, values, self.client, self.parent)
        self.turn.release()
        name = f"{self.task.stage} trial {trial.number}"
        told = ", ".join(f"{key} {value:g}" for key, value in values.items())
        try:
            if twin is not None:
                result = self._as_twin(trial, twin, recorder)
            else:
                result = self.runner.run(trial, values, recorder, self.stopped)
        except optuna.TrialPruned as reason:
            self.say(f"{name} ({told}) ended early: {reason}")
            raise
        except KeyboardInterrupt:
            self.say(f"{name} ({told}) interrupted")
            raise
        except UserError as error:
            self.fault = error
            raise
        except Exception as error:
            self.say(f"{name} ({told}) failed: {error}")
            raise
        scores = ", ".join(f"{n} {v:.4f}" for n, v in zip(self.task.tune.objectives, result, strict=True))
        self.say(f"{name} ({told}): {scores}")
        return result

    def _twin(self, trial: optuna.Trial, values: dict[str, Any]) -> FrozenTrial | None:
        """Another trial of the same values, which needs no training again, since equal inputs give equal results."""
        for other in self.study.get_trials(deepcopy=False):
            if other.number < trial.number and other.state in (
                TrialState.COMPLETE,
                TrialState.PRUNED,
                TrialState.RUNNING,
            ):
                known = set(values) <= set(other.params)
                if known and {n: v for n, v in space.trained(other.params).items() if n in values} == values:
                    return other
        return None

    def _as_twin(self, trial: optuna.Trial, twin: FrozenTrial, recorder: Any) -> Any:
        trial.set_user_attr("same_as", twin.number)
        reason = f"the same values as trial {twin.number}, so it was not trained again."
        log_untrained(trial, recorder, "FINISHED" if twin.state == TrialState.COMPLETE else "KILLED", reason)
        if twin.state == TrialState.COMPLETE:
            return tuple(twin.values)
        raise optuna.TrialPruned(reason)

    def _not_hopeless(self) -> None:
        trials = self.study.get_trials(deepcopy=False)
        failed = [trial for trial in trials if trial.state == TrialState.FAIL]
        well = any(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
        if len(failed) >= HOPELESS and not well:
            reason = failed[-1].user_attrs.get("reason", "unknown")
            raise UserError(
                f"the first {len(failed)} trials of {self.task.name} all failed ({reason}): mend that first."
            )

    def _close(self, interrupted: bool) -> None:
        """Queue again what was interrupted; report; end the parent run, unless other workers go on."""
        if interrupted and self.current is not None:
            trials = self.study.get_trials(deepcopy=True)
            again = {number for one in trials for number in RetryHeartbeatStaleTrialCallback.retry_history(one)}
            for trial in trials:
                if trial.number == self.current and trial.state == TrialState.FAIL and trial.number not in again:
                    studies.retry(self.study, trial, most=None)
        with self.turn:
            report.write(self.study, self.client, self.parent, self.task)
            if not studies.begun(self.study)[2]:
                self.client.set_terminated(self.parent, "KILLED" if interrupted else "FINISHED")
