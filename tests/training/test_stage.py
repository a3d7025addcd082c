"""What a stage starts from and ends with."""

import pytest

from gan3d.training.stage import build_stage


@pytest.mark.parametrize(("threshold", "first"), [(0.3, 0.3), ("calibrated", 0.5)])
def test_samples_and_scores_of_a_training_take_the_threshold_of_the_parameters(architecture, threshold, first):
    assert build_stage(None, architecture(4), 0, threshold)[2].threshold == first
