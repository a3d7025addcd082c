"""Successive halving compares each trial once, however often it was interrupted."""

import optuna
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState

from gan3d.tuning.pruners import HalvingPruner


def pruned(pruner: type[optuna.pruners.SuccessiveHalvingPruner]) -> bool:
    """Whether the second best of four trials is pruned, if the best was interrupted and retried."""
    study = optuna.create_study(pruner=pruner(min_resource=1, reduction_factor=2))
    interrupted = study.ask()
    interrupted.report(0.1, 1)
    interrupted.should_prune()
    study.tell(interrupted, state=TrialState.FAIL)
    RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, study.trials[0])
    study.tell(study.ask(), 0.1)  # the retry
    assert len([t for t in study.trials if "completed_rung_0" in t.system_attrs]) == 2
    for value in (0.5, 0.6):
        study.add_trial(optuna.create_trial(value=value, system_attrs={"completed_rung_0": value}))
    trial = study.ask()
    trial.report(0.3, 1)
    return trial.should_prune()


def test_an_interrupted_trial_counts_once():
    assert not pruned(HalvingPruner)


def test_optuna_s_own_pruner_counts_it_twice():
    assert pruned(optuna.pruners.SuccessiveHalvingPruner)
