"""Statistics of single shapes: known shapes, and equality with the plain reference beside the repository."""

import importlib.util
import sys

import numpy as np
import pytest
from paths import SHARED

from gan3d.metrics import blocks
from gan3d.metrics.structure import STATISTICS, crop, look, standing


def grid(*boxes: tuple[slice, slice, slice], side: int = 16) -> np.ndarray:
    shape = np.zeros((side,) * 3, bool)
    for box in boxes:
        shape[box] = True
    return shape


def statistics(shape: np.ndarray) -> dict[str, float]:
    return dict(zip(STATISTICS, look(shape[None]).structure[0].tolist(), strict=True))


CUBE = grid((slice(4, 12),) * 3)
RING = grid((slice(4, 12), slice(4, 12), slice(4, 6))) & ~grid((slice(6, 10), slice(6, 10), slice(4, 6)))
HOLLOW = CUBE & ~grid((slice(6, 10),) * 3)


@pytest.mark.parametrize(
    ("shape", "pieces", "tunnels", "cavities"),
    [(CUBE, 1, 0, 0), (RING, 1, 1, 0), (HOLLOW, 1, 0, 1), (CUBE | grid((slice(14, 15),) * 3), 2, 0, 0)],
)
def test_the_topology_of_known_shapes(shape, pieces, tunnels, cavities):
    found = statistics(shape)
    assert [np.expm1(found[name]) for name in ("pieces", "tunnels", "cavities")] == pytest.approx(
        [pieces, tunnels, cavities]
    )


def test_the_numbers_of_a_cube():
    found = statistics(CUBE)
    assert found["occupied"] == 8**3 / 16**3
    assert found["surface"] == pytest.approx((8**3 - 6**3) / 8**2)
    assert found["asymmetry"] == 0
    assert found["flat"] == 6**2 / 8**2
    assert found["thin"] == 8 / (8**3 - 6**3)  # the corners have 8 voxels in their 3×3×3


def test_asymmetry_is_that_of_the_best_axis():
    assert statistics(grid((slice(4, 12), slice(4, 12), slice(3, 12))))["asymmetry"] == 0
    lopsided = CUBE.copy()
    lopsided[4, 4, 4] = False
    assert statistics(lopsided)["asymmetry"] == 2 / (8**3 - 1)


def test_a_cube_has_few_kinds_of_blocks_and_they_add_up():
    shares = dict(zip(blocks.NAMES, look(CUBE[None]).patterns[0], strict=True))
    counts = {"10000000": 8, "11000000": 12 * 7, "11110000": 6 * 7**2}
    assert {name: share for name, share in shares.items() if share} == pytest.approx(
        {name: count / sum(counts.values()) for name, count in counts.items()}
    )
    assert len(blocks.NAMES) == 20


def test_what_does_not_depend_on_the_place_does_not():
    moved = np.roll(HOLLOW, (2, -3, 1), (0, 1, 2))
    assert look(moved[None]).structure[0, :7] == pytest.approx(look(HOLLOW[None]).structure[0, :7])
    assert np.array_equal(crop(moved), crop(HOLLOW))


def test_a_table_stands_until_a_leg_is_sawn_off():
    top = (slice(2, 14), slice(9, 11), slice(2, 14))
    legs = [(slice(x, x + 2), slice(2, 9), slice(z, z + 2)) for x in (2, 12) for z in (2, 12)]
    table, sawn = grid(top, *legs), grid(top, *legs[:3], (slice(12, 14), slice(4, 9), slice(12, 14)))
    lame = grid(top, legs[0])
    assert standing(np.stack([table, lame])).tolist() == [True, False]
    assert standing(sawn[None]).tolist() == [True]  # on three legs its centre is just above their hull
    assert standing(np.moveaxis(np.stack([table, lame]), 2, 3), "z").tolist() == [True, False]
    assert not standing(np.moveaxis(lame, 1, 0)[None], "x")[0]


@pytest.fixture(scope="module")
def reference():
    tools = SHARED / "tools"
    if not (tools / "tells.py").is_file():
        pytest.skip("no reference beside the repository")
    sys.path.insert(0, str(tools))
    loaded = {}
    for name in ("score", "tells", "stands"):
        spec = importlib.util.spec_from_file_location(name, tools / f"{name}.py")
        sys.modules[name] = loaded[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded[name])
    yield loaded
    sys.path.remove(str(tools))
    for name in loaded:
        del sys.modules[name]


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["real", "noise"])
def test_equal_to_the_reference(reference, kind):
    if kind == "real":
        shapes = np.load(SHARED / "data" / "modelnet10_train_32.npz")["X_train"][::130] > 0.5
        shapes = shapes[shapes.any((1, 2, 3))]
    else:
        shapes = np.random.default_rng(0).random((20, 8, 8, 8)) < np.linspace(0.05, 0.9, 20)[:, None, None, None]
    looks = look(shapes)
    assert looks.structure == pytest.approx(
        np.array([reference["tells"].statistics(shape) for shape in shapes]), abs=1e-6
    )
    assert looks.patterns == pytest.approx(np.array([reference["tells"].patterns(shape) for shape in shapes]), abs=1e-6)
    assert blocks.NAMES == reference["tells"].PATTERNS
    assert standing(shapes).tolist() == [reference["stands"].stands(shape, 1) for shape in shapes]


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("floor", [False, True])
def test_the_tells_are_those_of_the_reference(reference, floor):
    from gan3d.metrics import tell

    data = np.load(SHARED / "data" / "modelnet10_train_32.npz")
    chairs = data["X_train"][data["y_train"] == 2] > 0.5
    chairs = chairs[chairs.any((1, 2, 3))]
    spoilt = chairs[:120] ^ (np.random.default_rng(0).random(chairs[:120].shape) < 0.001)
    sets = spoilt, chairs[120:320], chairs[320:380]
    looks = [look(shapes) for shapes in sets]
    ours = tell.tells(*looks, floor=floor, divisions=1)
    for name, part in (("structure", "structure"), ("patterns", "patterns")):
        tables = [getattr(one, part) for one in looks]
        rng = np.random.default_rng(0)
        if floor:
            shuffled = tables[1][rng.permutation(len(tables[1]))]
            tables = [shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :], tables[2]]
        auc, alone = reference["tells"].tell(*tables, rng, tell.LOOKS[name])
        assert ours[name].auc == pytest.approx(auc, abs=1e-9)
        assert ours[name].alone == pytest.approx(np.array(list(alone.values())), abs=1e-9)
