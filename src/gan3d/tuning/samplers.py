"""What proposes a trial's values: Optuna's samplers, seeded per trial and rounded."""

import hashlib
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from gan3d.tuning.space import round_float
from gan3d.tuning.study_spec import StudySpec

STARTUP_TRIALS = 5  # drawn at random, before TPE and the median pruner have enough to go by


class RoundingSampler(BaseSampler):
    """Rounds the floats of another sampler, so that Optuna stores the values that are trained."""

    def __init__(self, sampler: BaseSampler):
        self.sampler = sampler

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        drawn = self.sampler.sample_relative(study, trial, search_space)
        return {name: _rounded(value, search_space[name]) for name, value in drawn.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        drawn = self.sampler.sample_independent(study, trial, param_name, param_distribution)
        return _rounded(drawn, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self.sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self.sampler.reseed_rng()


def _rounded(value: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, FloatDistribution):
        return round_float(value, distribution.low, distribution.high)
    return value


def make_sampler(spec: StudySpec, trials: int) -> BaseSampler:
    """The sampler of a study's next trial.

    Its seed depends on the study and the trial's number, so that no two trials draw the same numbers, whichever worker
    starts them.

    Args:
        trials: number of trials in the study.
    """
    text = f"{spec.params.seed} {spec.name} {trials}"
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
    if spec.tune.sampler == "random":
        return RoundingSampler(RandomSampler(seed=seed))
    return RoundingSampler(TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS))
