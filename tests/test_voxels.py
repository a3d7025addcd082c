"""Bit packing, max pooling, surfaces and connected components against their definitions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from gan3d.voxels import largest_component_share, max_pool, pack_bits, surface_voxels, unpack_bits

SHAPES = st.sampled_from([2, 4]).flatmap(lambda side: arrays(bool, st.tuples(st.integers(0, 3), *[st.just(side)] * 3)))


@given(SHAPES)
@settings(deadline=None)
def test_unpack_bits_inverts_pack_bits(shapes):
    side = shapes.shape[1]
    packed = pack_bits(shapes)
    assert packed.shape == (len(shapes), side**3 // 8)
    assert packed.dtype == np.uint8
    again = unpack_bits(packed, side)
    assert again.dtype == bool
    assert np.array_equal(again, shapes)


def test_pack_bits_puts_the_most_significant_bit_first_in_c_order():
    shape = np.zeros((1, 4, 4, 4), bool)
    shape[0, 0, 0, 1] = True
    assert pack_bits(shape)[0].tolist() == [64, 0, 0, 0, 0, 0, 0, 0]
    assert np.array_equal(pack_bits(shape), np.packbits(shape.reshape(1, -1), axis=1))


@given(SHAPES)
@settings(deadline=None)
def test_max_pool_occupies_a_voxel_if_any_of_its_eight_children_is(shapes):
    coarse = max_pool(shapes)
    side = shapes.shape[1] // 2
    assert coarse.shape == (len(shapes), side, side, side)
    for index in itertools.product(range(len(shapes)), *[range(side)] * 3):
        eight = shapes[(index[0], *(slice(2 * i, 2 * i + 2) for i in index[1:]))]
        assert coarse[index] == eight.any()


def test_max_pool_never_empties_a_shape():
    one = np.zeros((1, 64, 64, 64), bool)
    one[0, 63, 0, 31] = True
    while one.shape[1] > 1:
        one = max_pool(one)
        assert one.sum() == 1


@given(SHAPES)
@settings(deadline=None)
def test_surface_equals_occupied_minus_eroded(shapes):
    cross = ndimage.generate_binary_structure(3, 1)
    found = surface_voxels(shapes)
    for shape, shell in zip(shapes, found, strict=True):
        assert np.array_equal(shell, shape & ~ndimage.binary_erosion(shape, cross))


@pytest.mark.parametrize("side", [4, 8, 16])
def test_surface_of_a_full_cube_is_its_shell(side):
    assert surface_voxels(np.ones((2, side, side, side), bool)).sum() == 2 * (side**3 - (side - 2) ** 3)


def test_arguments_are_not_modified():
    shapes = np.ones((1, 4, 4, 4), bool)
    surface_voxels(shapes)
    max_pool(shapes)
    assert shapes.all()


def largest_share(shape: np.ndarray) -> float:
    """Share of the largest 26-connected component, by a flood fill in plain Python."""
    left = {tuple(index) for index in np.argwhere(shape).tolist()}
    total, largest = len(left), 0
    while left:
        frontier = [left.pop()]
        size = 1
        while frontier:
            here = frontier.pop()
            for step in itertools.product((-1, 0, 1), repeat=3):
                there = tuple(i + j for i, j in zip(here, step, strict=True))
                if there in left:
                    left.remove(there)
                    frontier.append(there)
                    size += 1
        largest = max(largest, size)
    return largest / total if total else 0.0


@given(SHAPES)
@settings(deadline=None, max_examples=60)
def test_largest_component_share_equals_a_flood_fill(shapes):
    assert largest_component_share(shapes) == pytest.approx([largest_share(shape) for shape in shapes])


def test_components_that_touch_at_a_corner_are_connected():
    shapes = np.zeros((3, 4, 4, 4), bool)
    shapes[0, 0, 0, 0] = shapes[0, 1, 1, 1] = True
    shapes[1, 0, 0, 0] = shapes[1, 2, 2, 2] = shapes[1, 2, 2, 3] = True
    assert largest_component_share(shapes).tolist() == [1, pytest.approx(2 / 3), 0]
