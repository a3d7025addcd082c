"""Opening a study: what it may be continued with, also if version 0.1 started it."""

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from small_project import edit

from gan3d.errors import UserError
from gan3d.tracking.store import connect
from gan3d.tuning.study import FINGERPRINT, SETUP, WORKER_PID, count_trials, open_study, orphans, trained_values
from gan3d.tuning.study_spec import study_spec

SPACE = {"lr_g": FloatDistribution(5e-3, 2e-2, log=True), "batch": CategoricalDistribution([8, 16])}
VALUES = {"lr_g": 0.00612345678, "batch": 8}


@pytest.fixture
def spec(planned):
    return study_spec(edit(planned, lambda tree: None), "r04", planned)


@pytest.fixture
def client(planned):
    return connect(planned.mlruns)


def test_a_study_continues_only_with_the_same_fingerprint(spec, client):
    study = open_study(spec, "abc", client)
    assert count_trials(study) == (1, 1, 0, 0)
    assert count_trials(open_study(spec, "abc", client)).original == 1
    with pytest.raises(UserError, match="other parameters of the stage have changed"):
        open_study(spec, "xyz", client)


def test_a_study_of_0_1_continues(spec, client):
    study = open_study(spec, "abc", client)
    setup = study.user_attrs[SETUP]
    study.set_user_attr(SETUP, {"inputs" if name == FINGERPRINT else name: setup[name] for name in setup})
    assert count_trials(open_study(spec, "abc", client)).original == 1
    with pytest.raises(UserError, match="other parameters of the stage have changed"):
        open_study(spec, "xyz", client)


def test_values_of_0_1_were_rounded_before_the_training(spec, client):
    study = open_study(spec, "abc", client)
    trial = optuna.create_trial(value=0.5, params=VALUES, distributions=SPACE)
    assert trained_values(study, trial) == VALUES
    study.set_user_attr(SETUP, {"inputs": "abc"})
    assert trained_values(study, trial) == {"lr_g": 0.006123, "batch": 8}


def test_an_orphan_is_a_running_trial_without_a_worker():
    study = optuna.create_study()
    first, second = study.ask(), study.ask()
    second.set_user_attr(WORKER_PID, 1)
    assert [trial.number for trial in orphans(study, older=-1)] == [first.number]
    assert orphans(study, older=60) == []
