"""The proof of the scores, in short: each moves the wrong way as more and more shapes have a fault that it sees.

`python -m benchmarks.corruption` is the long form; its tables are in docs/evaluation.md.
"""

import numpy as np
import pytest
from benchmarks import corruption, faults

UP, DOWN = 1, -1
SEES = {  # fault -> the scores that see it, and where they go
    "duplicates": {"one_nna_cd": UP, "cov_cd": DOWN, "mmd_cd_x1e3": UP, "jsd": UP, "frechet": UP, "kernel_x1e3": UP},
    "a kind dropped": {"one_nna_cd": UP, "mmd_cd_x1e3": UP, "jsd": UP, "recall": DOWN, "frechet": UP},
    "noise": {"tell_structure": UP, "tell_patterns": UP, "largest_piece_generated": DOWN, "density": DOWN},
    "asymmetry": {"tell_structure": UP, "tell_patterns": UP, "precision": DOWN, "frechet": UP, "kernel_x1e3": UP},
    "cracks": {"tell_structure": UP, "tell_patterns": UP, "largest_piece_generated": DOWN},
    "ragged edges": {"tell_structure": UP, "tell_patterns": UP, "precision": DOWN, "frechet": UP, "kernel_x1e3": UP},
    "sawn legs": {"tell_structure": UP, "stands_generated": DOWN},
    "copies of training shapes": {"novelty_generated_x1e3": DOWN, "copied_generated": UP, "copying_z": DOWN},
}


@pytest.fixture(scope="module")
def measured():
    shapes = corruption.furniture("chair", 280, 16)
    return corruption.measure(shapes, shares=(0.0, 0.25, 0.5), bases=2, judges=60, divisions=1)["faults"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", SEES)
def test_a_score_that_sees_a_fault_moves_with_the_share_of_shapes_that_have_it(measured, fault):
    for key, direction in SEES[fault].items():
        values = [direction * row[key] for row in measured[fault]]
        assert values[0] < values[1] < values[2], (key, [row[key] for row in measured[fault]])


@pytest.mark.slow
def test_1_nna_does_not_see_what_the_tells_see(measured):
    for fault in ("noise", "cracks", "ragged edges"):
        first, *_, last = measured[fault]
        assert abs(last["one_nna_cd"] - first["one_nna_cd"]) < 0.08
        assert last["tell_patterns"] - first["tell_patterns"] > 0.1


@pytest.mark.parametrize("fault", faults.SINGLE)
def test_a_fault_changes_the_share_of_shapes_that_it_is_given(fault):
    shapes = corruption.furniture("table", 12, 16)
    spoilt = faults.spoil(shapes, fault, 0.5, np.random.default_rng(0))
    changed = (spoilt != shapes).any((1, 2, 3))
    assert changed[:6].sum() >= 5
    assert not changed[6:].any()
    assert spoilt.any((1, 2, 3)).all()
