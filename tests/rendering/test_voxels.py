"""The renderer: it shows exactly the visible voxels."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from gan3d.errors import UserError
from gan3d.rendering import voxels as rendering

GRIDS = st.sampled_from([2, 4, 5]).flatmap(lambda side: arrays(bool, (side,) * 3))


def chair(side: int) -> np.ndarray:
    """A chair facing the viewer: axes right, up, front."""
    shape = np.zeros((side,) * 3, bool)
    a, b, t = side // 8, side - side // 8, max(1, side // 8)
    for x in (slice(a, a + t), slice(b - t, b)):
        for z in (slice(a, a + t), slice(b - t, b)):
            shape[x, : side // 2, z] = True
    shape[a:b, side // 2 - t : side // 2, a:b] = True
    shape[a:b, side // 2 :, a : a + t] = True
    return shape


def inked(pixels: np.ndarray) -> np.ndarray:
    """Pixels of a shape in a saturated colour, not of the background or of a grey shadow."""
    return np.ptp(pixels.astype(int), axis=-1) > 24


@given(GRIDS)
@settings(deadline=None, max_examples=40)
def test_covers_exactly_the_projection_of_the_voxels(shape):
    """Against projected points on the sides of each voxel, three per pixel and direction."""
    if not shape.any():
        return
    size, side, fine = 40, len(shape), 3
    seen = inked(rendering.render(shape, size, color=(0, 90, 255)))
    camera = rendering._camera(side, size, round(rendering.AZIMUTH, 3))
    across = np.stack(np.meshgrid(*[np.linspace(0.005, 0.995, 60)] * 2), -1).reshape(-1, 2)
    sides = np.concatenate([np.insert(across, axis, 0.995, 1) for axis in range(3)])
    points = ((np.argwhere(shape)[:, None] + sides).reshape(-1, 3) @ camera.axes + camera.origin) / camera.fine
    covered = np.zeros((size * fine,) * 2, bool)
    covered[tuple((points * fine).astype(int)[:, ::-1].T)] = True

    def pixels(raster: np.ndarray) -> np.ndarray:
        return raster.reshape(size, fine, size, fine).swapaxes(1, 2).reshape(size, size, -1)

    # partly covered pixels may go either way
    assert seen[pixels(ndimage.binary_erosion(covered, np.ones((3, 3)))).all(-1)].all()
    assert not seen[~pixels(ndimage.binary_dilation(covered, np.ones((3, 3)))).any(-1)].any()


@given(GRIDS, st.permutations([0, 1, 2]))
@settings(deadline=None, max_examples=30)
def test_hidden_voxels_are_not_drawn(shape, order):
    """A voxel hidden by the three in front of it changes nothing but ambient light."""
    side = len(shape)
    shape = shape.transpose(order).copy()
    shape[1, 0, 0] = shape[0, 1, 0] = shape[0, 0, 1] = True
    without, with_it = shape.copy(), shape.copy()
    without[0, 0, 0], with_it[0, 0, 0] = False, True
    a, b = (rendering.render(s, 64, color=(0, 90, 255)).astype(int) for s in (without, with_it))
    assert side >= 2
    assert np.array_equal(inked(a), inked(b))


def test_nearer_voxels_cover_farther_ones():
    """One voxel in front of a wall shows its three sides, in every visible direction."""
    alone = np.zeros((8, 8, 8), bool)
    alone[6, 6, 6] = True
    behind = alone.copy()
    behind[:, :, 0] = behind[0] = behind[:, 0] = True
    a, b = (rendering.render(shape, 128).astype(int) for shape in (alone, behind))
    covered = inked(a)
    core = covered & np.roll(covered, 2, 0) & np.roll(covered, -2, 0) & np.roll(covered, 2, 1) & np.roll(covered, -2, 1)
    assert core.sum() > 80
    assert np.abs(a - b)[core].max() <= 1


def test_sides_differ_in_brightness():
    picture = rendering.render(np.ones((4, 4, 4), bool), 200)
    camera = rendering._camera(4, 200, round(rendering.AZIMUTH, 3))

    def at(*point: float) -> float:
        right, down = (np.array(point) @ camera.axes + camera.origin) / camera.fine
        return float(picture[int(down), int(right)].sum())

    right, up, front = at(4, 1.5, 1.5), at(1.5, 4, 1.5), at(1.5, 1.5, 4)
    assert up > front > right


def test_the_cube_fits_at_every_angle():
    for angle in range(0, 360, 15):
        picture = rendering.render(np.ones((4, 4, 4), bool), 80, azimuth=angle)
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert not inked(edge).any()


def test_a_full_turn_is_continuous_and_shows_the_back():
    shape = chair(16)
    for quarter in (90, 180, 270, 360):
        before, after = (rendering.render(shape, 96, azimuth=quarter + step).astype(int) for step in (-0.01, 0.01))
        assert np.abs(before - after).mean() < 1.5, quarter
    start = rendering.render(shape, 96)
    assert np.array_equal(rendering.render(shape, 96, azimuth=rendering.AZIMUTH + 360), start)
    assert np.array_equal(
        rendering.render(np.rot90(shape, 2, (0, 2)), 96), rendering.render(shape, 96, azimuth=rendering.AZIMUTH + 180)
    )


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_up_axis(up):
    axis = "xyz".index(up)
    shape = np.zeros((8, 8, 8), bool)
    shape[tuple(-1 if i == axis else slice(None) for i in range(3))] = True  # a plate at the top
    turned = rendering.upright(shape, up)
    assert turned[:, -1].all()
    assert not turned[:, :-1].any()
    basis = np.argwhere(np.arange(27).reshape(3, 3, 3) >= 0) - 1
    source = np.arange(27).reshape(3, 3, 3)
    moved = np.argsort(rendering.upright(source, up).ravel())
    images = basis[moved][[np.flatnonzero((basis == row).all(1))[0] for row in np.eye(3, dtype=int)]]
    assert np.linalg.det(images) == pytest.approx(1)  # not a reflection


def test_unknown_up_axis():
    with pytest.raises(UserError, match="'up' does not exist: choose one of x, y, z"):
        rendering.render(np.ones((4, 4, 4), bool), up="up")


def test_empty_and_full_differ():
    empty, full, one = (rendering.render(np.broadcast_to(fill, (16,) * 3), 128) for fill in (False, True, False))
    assert not inked(empty).any()
    assert (empty < 120).any()  # the word
    assert inked(full).mean() > 0.4
    assert np.array_equal(empty, one)


@pytest.mark.parametrize("side", [1, 4, 8, 16, 32, 64, 128])
@pytest.mark.parametrize("size", [32, 256])
def test_every_resolution_and_size(side, size):
    shape = chair(side) if side >= 8 else np.ones((side,) * 3, bool)
    picture = rendering.render(shape, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert 0.05 < inked(picture).mean() < 0.7
    assert (picture[0] == 255).all()


def test_classes_have_distinct_colours():
    assert len({rendering.class_color(i) for i in range(8)}) == 8
    assert rendering.class_color(8) == rendering.class_color(0)
    picture = rendering.render(np.ones((4, 4, 4), bool), 64, color=(220, 40, 40))
    red, green, _ = picture[inked(picture)].mean(0)
    assert red > 2 * green


def test_is_fast():
    """On an idle core, 16³ takes far less than 20 ms and 64³ less than 150 ms; the limits allow for a busy machine."""
    for side, limit in ((16, 0.1), (64, 0.5)):
        shape = chair(side)
        rendering.render(shape)
        times = []
        for _ in range(3):
            start = time.thread_time()
            rendering.render(shape)
            times.append(time.thread_time() - start)
        assert min(times) < limit
