"""What a stage begins with."""

from pathlib import Path

import pytest

from gan3d import params
from gan3d.stages.train import begun

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("threshold", "first"), [(0.3, 0.3), ("calibrated", 0.5)])
def test_pictures_and_scores_of_a_training_take_the_threshold_of_the_parameters(dataset, threshold, first):
    loaded = params.load(REPOSITORY / "params.yaml")
    changed = loaded.model_copy(update={"gan": loaded.gan.model_copy(update={"threshold": threshold})})
    assert begun(changed, "r04", dataset, None)[2].threshold == first
