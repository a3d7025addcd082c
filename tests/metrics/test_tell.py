"""The classifier two-sample tests: chance for equal sets, certainty for spoilt ones, and words for what tells."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gan3d.metrics import tell
from gan3d.metrics.structure import Looks


def looks(count: int, seed: int, shift: float = 0.0) -> Looks:
    rng = np.random.default_rng(seed)
    structure = rng.normal(size=(count, 8))
    structure[:, 7] += shift  # the asymmetry
    return Looks(structure, rng.random((count, 20)))


def test_equal_sets_cannot_be_told_and_the_error_says_how_sure_that_is():
    values = np.array(
        [[(t := found[name]).auc, t.error] for seed in range(8) if (found := tell.tells(
            looks(150, 3 * seed), looks(100, 3 * seed + 1), looks(50, 3 * seed + 2), divisions=2
        )) for name in tell.LOOKS]
    )  # fmt: skip
    assert abs(values[:, 0].mean() - 0.5) < 0.03
    assert 0.5 < values[:, 0].std() / values[:, 1].mean() < 1.6


def test_one_statistic_that_differs_tells_and_is_named():
    found = tell.tells(looks(150, 0, shift=4.0), looks(100, 1), looks(50, 2), divisions=2)
    assert found["structure"].auc > 0.95
    assert found["patterns"].auc < 0.75
    alone = dict(zip(tell.LOOKS["structure"], found["structure"].alone, strict=True))
    assert alone["asymmetry"] < 0.05
    words = tell.telling_words({"tell_structure_alone": alone})
    assert words[0].startswith("less symmetric than real shapes (0.9")
    assert len(words) <= 2  # of the others, one may differ by chance


def test_the_floor_does_not_see_the_generated_shapes():
    real = looks(120, 1), looks(50, 2)
    floors = [tell.tells(looks(90, 0, shift), *real, floor=True, divisions=1) for shift in (0.0, 9.0)]
    assert floors[0]["structure"].auc == floors[1]["structure"].auc
    assert abs(floors[0]["structure"].auc - 0.5) < 0.25
    assert tell.excess_error(floors[0]["structure"], floors[1]["structure"]) < 2 * floors[0]["structure"].error


def test_too_few_shapes_give_no_figure():
    assert tell.tells(looks(8, 0), looks(100, 1), looks(50, 2)) == {"structure": None, "patterns": None}
    assert tell.tells(looks(90, 0), looks(9, 1), looks(50, 2))["structure"] is None
    assert tell.tells(looks(90, 0), looks(17, 1), looks(50, 2), floor=True)["structure"] is None


@pytest.mark.parametrize("ties", [False, True])
def test_placements_are_the_area_under_the_curve(ties):
    values = np.random.default_rng(0).normal(size=50)
    values = np.round(values) if ties else values
    above, below = tell.placements(values, 20)
    expected = roc_auc_score(np.arange(50) >= 20, values)
    assert above.mean() == pytest.approx(expected)
    assert below.mean() == pytest.approx(expected)


def test_every_statistic_has_words():
    assert set(tell.WORDS) >= set(tell.LOOKS["structure"])
    assert tell.telling({"11100000": 0.2}) == ["with edges more ragged than real shapes (0.80)"]
    assert tell.telling({"01111110": 0.7}) == ["with fewer blocks 01111110 than real shapes (0.70)"]
    assert tell.telling({"flat": 0.55}) == []


def test_filters_of_warnings_survive_and_nothing_is_printed(monkeypatch, capfd):
    """Two fits at once may empty the filters, after which every fit would warn."""
    judge = tell._judge

    def emptied(*job):
        warnings.filters.clear()
        warnings.warn("use Parallel", UserWarning, stacklevel=1)
        return judge(*job)

    before = list(warnings.filters)
    monkeypatch.setattr(tell, "_judge", emptied)
    tell.tells(looks(30, 0), looks(20, 1), looks(10, 2), divisions=1)
    assert list(warnings.filters) == before
    assert capfd.readouterr().err == ""
