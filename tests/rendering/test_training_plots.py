"""Training plots: files for any rows, with lines that follow the values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gan3d.rendering import plots, training_plots
from gan3d.rendering.voxels import class_color


def rows(count: int = 200) -> list[dict]:
    random = np.random.default_rng(0)
    return [
        {
            "images": 64 * i,
            "loss_g": 1 + random.normal() / 5,
            "loss_d": 0.7 + random.normal() / 5,
            "penalty": 0.1 if i % 8 == 0 else None,
            "score_real": 1.0,
            "score_fake": -1.0,
            "accuracy_real": 0.8,
            "accuracy_fake": float("nan") if i == 7 else 0.7,
            "alpha": min(1, i / 60),
        }
        for i in range(count)
    ]


def test_both_plots_are_written(tmp_path):
    written = training_plots.training_curves(rows(), tmp_path / "new", "chairs, 16³")
    assert [path.name for path in written] == ["loss.png", "accuracy.png"]
    for path in written:
        pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
        assert pixels.shape[1] == 960
        assert (np.ptp(pixels, axis=-1) > 60).sum() > 500  # coloured lines


def test_values_of_every_eighth_step_are_a_line(tmp_path):
    """The penalty has the third colour of the palette, and a lazy run logs it rarely."""
    with_it, without = (
        np.asarray(Image.open(training_plots.loss_curves(logged, tmp_path / f"{i}.png")).convert("RGB")).astype(int)
        for i, logged in enumerate([rows(), [row | {"penalty": None} for row in rows()]])
    )
    near = [np.abs(pixels - class_color(2)).sum(-1) < 20 for pixels in (with_it, without)]
    assert near[0].sum() > 1000
    assert not near[1].any()


@pytest.mark.parametrize("kept", [{"images"}, {"images", "loss_g"}, {"images", "accuracy_real", "alpha"}])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_and_partial_rows(tmp_path, kept, count):
    partial = [{key: value for key, value in row.items() if key in kept} for row in rows(count)]
    assert all(path.stat().st_size > 2000 for path in training_plots.training_curves(partial, tmp_path))


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=120))
def test_smoothing_stays_within_the_values(values):
    smooth = plots.smooth(np.array(values))
    assert smooth.shape == (len(values),)
    assert min(values) - 1e-9 <= smooth.min()
    assert smooth.max() <= max(values) + 1e-9


def test_smoothing_keeps_gaps_and_straight_lines():
    values = np.arange(100.0)
    np.testing.assert_allclose(plots.smooth(values)[5:-5], values[5:-5])
    values[50] = np.nan
    smooth = plots.smooth(values)
    assert np.flatnonzero(np.isnan(smooth)).tolist() == [50]


def test_fading_finds_each_range():
    alpha = [1, 0.2, 0.8, 1, 1, 0, 0.5]
    logged = [{"images": 10 * i, "alpha": value} for i, value in enumerate(alpha)]
    assert training_plots.fading(logged) == [(10, 30), (50, 60)]
    assert training_plots.fading([{"images": 0}]) == []
    assert training_plots.fading([]) == []
