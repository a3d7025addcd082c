"""Chamfer distance: against brute force, closed forms, and the properties of a distance."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from gan3d.metrics import chamfer
from gan3d.voxels import surface_voxels

ANY_SHAPES = st.sampled_from([2, 3, 4]).flatmap(
    lambda side: st.tuples(*[arrays(bool, st.tuples(st.integers(1, 3), *[st.just(side)] * 3))] * 2)
)


def points(shape: np.ndarray) -> list[tuple[int, int, int]]:
    """Surface voxels of one shape by their definition, in plain Python."""
    side, result = len(shape), []
    for x, y, z in itertools.product(range(side), repeat=3):
        around = [(x - 1, y, z), (x + 1, y, z), (x, y - 1, z), (x, y + 1, z), (x, y, z - 1), (x, y, z + 1)]
        if shape[x, y, z] and not all(min(p) >= 0 and max(p) < side and shape[p] for p in around):
            result.append((x, y, z))
    return result


def brute_force(a: np.ndarray, b: np.ndarray) -> float:
    """Chamfer distance of two shapes by its definition."""
    first, second = points(a), points(b)
    if not first or not second:
        return 0.0 if first == second else 6.0

    def one_way(these: list, those: list) -> float:
        nearest = (min(sum((i - j) ** 2 for i, j in zip(p, q, strict=True)) for q in those) for p in these)
        return sum(nearest) / len(these) / len(a) ** 2

    return one_way(first, second) + one_way(second, first)


@given(ANY_SHAPES)
@settings(deadline=None, max_examples=60)
def test_equals_brute_force(sets):
    a, b = sets
    result = chamfer.distances(chamfer.prepare(a), chamfer.prepare(b))
    expected = [[brute_force(one, other) for other in b] for one in a]
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


@given(ANY_SHAPES)
@settings(deadline=None, max_examples=40)
def test_is_symmetric_to_the_last_bit_and_zero_on_itself(sets):
    a, b = map(chamfer.prepare, sets)
    assert np.array_equal(chamfer.distances(a, b), chamfer.distances(b, a).T)
    again = chamfer.prepare(sets[0].copy())
    assert np.array_equal(a.within, chamfer.distances(a, again))
    assert not np.diag(a.within).any()


@given(ANY_SHAPES, st.integers(0, 2), st.permutations([0, 1, 2]))
@settings(deadline=None, max_examples=30)
def test_does_not_depend_on_the_orientation(sets, mirrored, order):
    def reorient(voxels: np.ndarray) -> np.ndarray:
        return np.flip(voxels, 1 + mirrored).transpose(0, *(1 + axis for axis in order))

    original = [chamfer.prepare(voxels) for voxels in sets]
    reoriented = [chamfer.prepare(reorient(voxels)) for voxels in sets]
    assert np.array_equal(chamfer.distances(*original), chamfer.distances(*reoriented))


@pytest.mark.parametrize("side", [4, 16, 64, 128])
def test_distance_transform_is_exact_at_every_resolution(side):
    random = np.random.default_rng(side)
    surface = np.zeros((side, side, side, 3), bool)
    surface[0, 0, 0, 0] = True  # the longest distance, along the diagonal
    surface[tuple(random.integers(0, side, (3, 20)))] = True
    surface[..., 2] = False
    result = chamfer.squared_distances(surface)
    for i in range(2):
        expected = np.rint(ndimage.distance_transform_edt(~surface[..., i]) ** 2)
        assert np.array_equal(result[..., i], expected)
    assert (result[..., 2] == 3 * (side - 1) ** 2).all()


def test_two_voxels_at_opposite_corners():
    shapes = np.zeros((2, 8, 8, 8), bool)
    shapes[0, 0, 0, 0] = shapes[1, 7, 7, 7] = True
    prepared = chamfer.prepare(shapes)
    assert prepared.within[0, 1] == 2 * 3 * 49 / 64


def test_sums_beyond_single_precision_stay_exact():
    """Hollow 64³ shells against one corner: each sum is past 2²⁴, where float32 would lose units."""
    shell = np.ones((1, 64, 64, 64), bool)
    corner = np.zeros_like(shell)
    corner[0, 0, 0, 0] = True
    shells, corners = chamfer.prepare(shell), chamfer.prepare(corner)
    where = np.argwhere(surface_voxels(shell)[0])
    total = int((where**2).sum())
    assert total > 2**24
    assert chamfer._distance_sums(shells, corners)[0, 0] == total


def test_memory_bounds_change_nothing(monkeypatch):
    shapes = np.random.default_rng(0).random((9, 8, 8, 8)) > 0.9
    whole = chamfer.prepare(shapes)
    nearest = chamfer.nearest_distances(whole.first(4), shapes[4:])
    monkeypatch.setattr(chamfer, "_TRANSFORM_BYTES", 2100)
    monkeypatch.setattr(chamfer, "_PRODUCT_VOXELS", 50)
    monkeypatch.setattr(chamfer, "_PRODUCT_SHAPES", 2)
    monkeypatch.setattr(chamfer, "_BATCH_BYTES", 3200)
    parts = chamfer.prepare(shapes)
    assert np.array_equal(parts.squared, whole.squared)
    assert np.array_equal(parts.within, whole.within)
    assert len(list(chamfer.prepared_batches(shapes[4:]))) == 3
    assert np.array_equal(chamfer.nearest_distances(whole.first(4), shapes[4:]), nearest)
    assert np.array_equal(nearest, whole.within[:4, 4:].min(1))


def test_resolutions_cannot_be_mixed():
    with pytest.raises(ValueError, match=r"4³ and 8³"):
        chamfer.distances(*(chamfer.prepare(np.ones((1, n, n, n), bool)) for n in (4, 8)))
