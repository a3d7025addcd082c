"""What a stage starts from."""

import pytest

from gan3d.training.recipe import Recipe
from gan3d.training.stage import StageSpec, build_stage


@pytest.mark.parametrize(("threshold", "first"), [(0.3, 0.3), ("calibrated", 0.5)])
def test_samples_and_scores_of_a_training_take_the_threshold_of_the_parameters(architecture, threshold, first):
    spec = StageSpec("r04", None, architecture(4), Recipe(), 0, threshold)
    assert build_stage(spec, None)[2].threshold == first
