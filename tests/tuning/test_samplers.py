"""Optuna stores the values that are trained: rounded floats, inside the bounds."""

import optuna
import pytest
from optuna.distributions import FloatDistribution
from small_project import edit

from gan3d.tuning import space
from gan3d.tuning.samplers import RoundingSampler, make_sampler
from gan3d.tuning.study_spec import study_spec

LOW, HIGH = 0.00123456, 0.00123959  # the numbers of four digits between them are 0.001235 to 0.001239


def is_rounded(value: float) -> bool:
    return float(f"{value:.4g}") == value


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_stored_values_are_the_trained_ones(planned, name):
    ranges = {"lr_g": {"low": 1e-4, "high": 1e-1, "log": True}, "lr_d": {"low": 0.001, "high": 0.01}}
    params = edit(planned, lambda tree: tree["tune"].update(space=ranges | {"batch": [8, 16]}, sampler=name))
    spec = study_spec(params, "r08", planned)
    study = optuna.create_study()
    for number in range(15):  # beyond the random start of TPE
        study.sampler = make_sampler(spec, number)
        trial = study.ask()
        values = space.suggest(trial, params.tune.space)
        study.tell(trial, abs(values["lr_g"] - 0.01))
        assert study.trials[number].params == values
    trained = [trial.params for trial in study.trials]
    assert all(is_rounded(values[name]) for values in trained for name in ranges)
    assert len({values["lr_g"] for values in trained}) == 15


@pytest.mark.parametrize("log", [False, True])
def test_rounding_stays_inside_the_bounds(log):
    sampler = RoundingSampler(optuna.samplers.RandomSampler(seed=0))
    study = optuna.create_study(sampler=sampler)
    found = {study.ask({"rate": FloatDistribution(LOW, HIGH, log=log)}).params["rate"] for _ in range(200)}
    assert found == {0.001235, 0.001236, 0.001237, 0.001238, 0.001239, HIGH}


def test_relative_samples_are_rounded_too():
    sampler = RoundingSampler(optuna.samplers.TPESampler(seed=0, multivariate=True, n_startup_trials=2))
    study = optuna.create_study(sampler=sampler)
    for _ in range(6):
        trial = study.ask()
        rate, batch = trial.suggest_float("rate", 0.001, 0.1), trial.suggest_int("batch", 1, 64)
        study.tell(trial, rate * batch)
    assert all(is_rounded(trial.params["rate"]) for trial in study.trials)
    assert {type(trial.params["batch"]) for trial in study.trials} == {int}


def test_tpe_learns_from_rounded_values():
    """It comes closer than the random trials it starts with."""
    study = optuna.create_study(sampler=RoundingSampler(optuna.samplers.TPESampler(seed=1, n_startup_trials=5)))
    for _ in range(40):
        trial = study.ask()
        study.tell(trial, (trial.suggest_float("rate", 1e-4, 1.0, log=True) - 0.01) ** 2)
    errors = [trial.value for trial in study.trials]
    assert min(errors[5:]) < min(errors[:5])


def test_the_values_of_params_yaml_are_rounded_too(planned):
    ranges = {"lr_g": {"low": LOW, "high": 0.01}, "batch": {"low": 4, "high": 64}}
    params = edit(planned, lambda tree: tree["tune"].update(space=ranges))
    for given, rounded in ((0.0056789123, 0.005679), (LOW, 0.001235), (0.01, 0.01)):
        values = space.current_values(params.with_stage("r08", {"lr_g": given}), "r08")
        assert values == {"lr_g": rounded, "batch": 8}
