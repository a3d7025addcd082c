"""Train the network in whose features shapes are compared (`gan3d.metrics.shape_features`), and write its weights.

    python -m benchmarks.feature_network [--steps 1200]

Without steps, the weights stay random. A step takes 0.4 seconds of one core.

It learns from what is free: the embedded furniture, and eleven other kinds of objects made of boxes, cylinders and
surfaces of revolution, solid or as shells, turned and reduced at random. It has two tasks, which kind of object a shape
is, and which fault it was given (`benchmarks.faults`), so that its features tell forms and flaws apart.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.faults import SINGLE
from gan3d.data.voxelization.voxelize import voxelize
from gan3d.metrics.shape_features import CHANNELS, FEATURES, PATH, SIDE
from gan3d.synthetic.furniture import generate

EACH = 500  # shapes of a kind
AXES = np.stack(np.meshgrid(*[(np.arange(SIDE) + 0.5) / SIDE] * 3, indexing="ij"))
Random = np.random.Generator


class Grid:
    """A grid that parts are added to, in a cube of edge 1; y is up and x is mirrored."""

    def __init__(self) -> None:
        self.voxels = np.zeros((SIDE,) * 3, bool)

    def box(self, x: tuple, y: tuple, z: tuple, mirror: bool = True) -> None:
        part = np.ones_like(self.voxels)
        for axis, (low, high) in zip(AXES, (x, y, z), strict=True):
            part &= (axis >= low) & (axis <= max(high, low + 1.01 / SIDE))
        self.voxels |= part | (part[::-1] if mirror else part)

    def round(self, radius: Callable[[np.ndarray], np.ndarray], y: tuple, x: float = 0.5, z: float = 0.5) -> None:
        """A body of revolution around an upright axis; its radius depends on the height."""
        part = np.hypot(AXES[0] - x, AXES[2] - z) <= radius(AXES[1])
        part &= (AXES[1] >= y[0]) & (AXES[1] <= y[1])
        self.voxels |= part | part[::-1]


def legs(grid: Grid, rng: Random, top: float, x: float, z: tuple) -> None:
    w = rng.uniform(0.03, 0.09)
    for at in z:
        grid.box((x, x + w), (0.03, top), (at, at + w))


def bed(g: Grid, r: Random) -> None:
    top, head = r.uniform(0.2, 0.4), r.uniform(0.4, 0.7)
    g.box((0.2, 0.8), (r.uniform(0.05, 0.15), top), (0.05, 0.95))
    g.box((0.2, 0.8), (0.05, head), (0.05, r.uniform(0.08, 0.14)))
    if r.random() < 0.5:
        g.box((0.2, 0.8), (0.05, r.uniform(top, head)), (0.9, 0.95))
    legs(g, r, top, 0.2, (0.06, 0.86))


def shelf(g: Grid, r: Random) -> None:
    x, t, depth = r.uniform(0.1, 0.3), r.uniform(0.03, 0.06), r.uniform(0.15, 0.35)
    z = (0.5 - depth / 2, 0.5 + depth / 2)
    g.box((x, x + t), (0.03, 0.97), z)
    for y in np.linspace(0.05, 0.93, int(r.integers(3, 7))):
        g.box((x, 1 - x), (y, y + t), z)
    if r.random() < 0.6:
        g.box((x, 1 - x), (0.03, 0.97), (z[0], z[0] + t))


def dresser(g: Grid, r: Random) -> None:
    x, top, z = r.uniform(0.05, 0.3), r.uniform(0.4, 0.9), r.uniform(0.2, 0.35)
    g.box((x, 1 - x), (0.1, top), (z, 1 - z))
    g.box((x - 0.04, 1.04 - x), (top, top + 0.04), (z - 0.04, 1.04 - z))
    for y in np.linspace(0.15, top, int(r.integers(2, 5)), endpoint=False):
        g.box((0.45, 0.55), (y + 0.05, y + 0.09), (1 - z, 1.05 - z))
    legs(g, r, 0.12, x, (z, 0.93 - z))


def sofa(g: Grid, r: Random) -> None:
    seat, arm, back = r.uniform(0.25, 0.4), r.uniform(0.4, 0.6), r.uniform(0.5, 0.8)
    w = r.uniform(0.06, 0.16)
    g.box((0.05, 0.95), (0.1, seat), (0.2, 0.8))
    g.box((0.05, 0.05 + w), (0.1, arm), (0.2, 0.8))
    g.box((0.05, 0.95), (0.1, back), (0.2, 0.2 + w))
    legs(g, r, 0.12, 0.08, (0.22, 0.7))


def lamp(g: Grid, r: Random) -> None:
    base, stem, shade = r.uniform(0.1, 0.25), r.uniform(0.02, 0.05), r.uniform(0.12, 0.3)
    low, slope = r.uniform(0.55, 0.75), r.uniform(0.2, 0.9)
    g.round(lambda y: base + 0 * y, (0.03, 0.09))
    g.round(lambda y: stem + 0 * y, (0.03, 0.9))
    g.round(lambda y: shade * (1 - slope * (y - low)), (low, 0.95))


def monitor(g: Grid, r: Random) -> None:
    low, z, x = r.uniform(0.2, 0.4), r.uniform(0.4, 0.5), r.uniform(0.05, 0.2)
    g.box((x, 1 - x), (low, r.uniform(0.75, 0.95)), (z, z + r.uniform(0.05, 0.2)))
    g.box((0.45, 0.55), (0.05, low + 0.1), (z, z + 0.06))
    g.box((r.uniform(0.25, 0.38), 0.5), (0.03, 0.09), (0.3, 0.7))


def tub(g: Grid, r: Random) -> None:
    x, z, top, t = r.uniform(0.2, 0.32), r.uniform(0.05, 0.15), r.uniform(0.35, 0.6), r.uniform(0.04, 0.08)
    g.box((x, 1 - x), (0.05, top), (z, 1 - z))
    inner = Grid()
    inner.box((x + t, 1 - x - t), (0.05 + t, 1), (z + t, 1 - z - t))
    g.voxels &= ~inner.voxels


def vessel(g: Grid, r: Random) -> None:
    a, b, c = r.uniform(0.1, 0.3), r.uniform(0.0, 0.12), r.uniform(3, 9)
    g.round(lambda y: a + b * np.sin(c * y), (0.05, r.uniform(0.6, 0.95)))
    if r.random() < 0.6:
        inner = Grid()
        inner.round(lambda y: a - 0.06 + b * np.sin(c * y), (0.12, 1.0))
        g.voxels &= ~inner.voxels


def plane(g: Grid, r: Random) -> None:
    w, at, span = r.uniform(0.05, 0.1), r.uniform(0.35, 0.5), r.uniform(0.02, 0.2)
    g.box((0.5 - w, 0.5 + w), (0.45, 0.45 + 2 * w), (0.05, 0.95))
    g.box((span, 0.5), (0.47, 0.51), (at, at + r.uniform(0.1, 0.2)))
    g.box((0.3, 0.5), (0.5, 0.54), (0.85, 0.93))
    g.box((0.48, 0.52), (0.5, r.uniform(0.65, 0.8)), (0.83, 0.95))


def car(g: Grid, r: Random) -> None:
    x, mid, top = r.uniform(0.25, 0.35), r.uniform(0.35, 0.45), r.uniform(0.5, 0.65)
    g.box((x, 1 - x), (0.2, mid), (0.05, 0.95))
    g.box((x + 0.03, 0.97 - x), (mid, top), (r.uniform(0.2, 0.35), r.uniform(0.65, 0.9)))
    for z in (0.15, 0.7):
        g.box((x - 0.03, x + 0.05), (0.08, 0.28), (z, z + 0.16))


def desk(g: Grid, r: Random) -> None:
    top, x, z = r.uniform(0.5, 0.75), r.uniform(0.03, 0.15), r.uniform(0.15, 0.3)
    g.box((x, 1 - x), (top, top + r.uniform(0.04, 0.08)), (z, 1 - z))
    width = r.uniform(0.1, 0.25)
    g.box((x, x + width), (r.uniform(0.03, 0.3), top), (z, 1 - z), mirror=bool(r.random() < 0.5))
    g.box((1 - x - 0.05, 1 - x), (0.03, top), (z, 1 - z), mirror=False)
    if r.random() < 0.5:
        g.box((x, 1 - x), (top / 2, top), (z, z + 0.04))


KINDS = (bed, shelf, dresser, sofa, lamp, monitor, tub, vessel, plane, car, desk)


def objects(rng: Random) -> tuple[np.ndarray, np.ndarray]:
    """EACH shapes of all kinds: booleans (n, SIDE, SIDE, SIDE), and the number of the kind of each."""
    shapes, labels = [], []
    for label, name in enumerate(("chair", "table")):
        for i in range(EACH):
            mesh = generate(name, i, seed=99)  # other shapes than the data set has
            shapes.append(voxelize(mesh.vertices, mesh.faces, SIDE))
            labels.append(label)
    for label, kind in enumerate(KINDS, 2):
        for _ in range(EACH):
            grid = Grid()
            kind(grid, rng)
            shapes.append(grid.voxels)
            labels.append(label)
    return np.stack(shapes), np.array(labels)


def varied(shape: np.ndarray, rng: Random) -> np.ndarray:
    """A shape turned, stretched, hollowed and moved at random."""
    scale = rng.uniform(0.75, 1.0, 3) * rng.uniform(0.8, 1.0)
    at = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"))
    middle = (SIDE - 1) / 2
    sources = [np.round((a - middle) / s + middle).astype(int) for a, s in zip(at, scale, strict=True)]
    inside = np.all([(s >= 0) & (s < SIDE) for s in sources], axis=0)
    result = shape[tuple(np.clip(s, 0, SIDE - 1) for s in sources)] & inside
    if rng.random() < 0.3:
        result &= ~ndimage.binary_erosion(result)
    if rng.random() < 0.5:
        result = np.transpose(result, rng.permutation(3))
    result = np.rot90(result, int(rng.integers(4)), (0, 2))
    return np.roll(result, int(rng.integers(-2, 3)), int(rng.integers(3)))


def batch(shapes: np.ndarray, labels: np.ndarray, rng: Random, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grids (size, SIDE, SIDE, SIDE, 1), kinds and faults (0 is none)."""
    rows, faults = rng.integers(len(shapes), size=size), np.zeros(size, int)
    grids = np.empty((size, SIDE, SIDE, SIDE), np.float32)
    for i, row in enumerate(rows):
        shape = varied(shapes[row], rng)
        shape = shape if shape.any() else shapes[row]
        coarse = rng.random() < 0.3
        if coarse:
            half = SIDE // 2
            shape = shape.reshape(half, 2, half, 2, half, 2).any((1, 3, 5))
        if rng.random() < 0.6:
            faults[i] = 1 + int(rng.integers(len(SINGLE)))
            shape = list(SINGLE.values())[faults[i] - 1](shape, rng)
        grids[i] = shape.repeat(2, 0).repeat(2, 1).repeat(2, 2) if coarse else shape
    return grids[..., None], labels[rows], faults


def train(steps: int, size: int = 64) -> dict[str, np.ndarray]:
    """The weights after so many batches, float16 by name."""
    import keras

    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    shapes, labels = objects(rng) if steps else (np.zeros((1, SIDE, SIDE, SIDE), bool), np.zeros(1, int))
    inputs = keras.Input((SIDE, SIDE, SIDE, 1))
    x = inputs
    for i, channels in enumerate(CHANNELS):
        x = keras.layers.Conv3D(channels, 4, 2, "same", name=f"conv{i}", kernel_initializer="he_normal")(x)
        x = keras.layers.LeakyReLU(0.2)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(FEATURES, name="dense", kernel_initializer="he_normal")(x)
    heads = keras.layers.LeakyReLU(0.2)(x)
    kinds = keras.layers.Dense(len(KINDS) + 2, name="kinds")(heads)
    flaws = keras.layers.Dense(len(SINGLE) + 1, name="faults")(heads)
    model = keras.Model(inputs, [kinds, flaws])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, max(steps, 1))
    model.compile(keras.optimizers.Adam(rate), loss=[loss, loss], metrics=[["accuracy"], ["accuracy"]])
    for step in range(steps):
        grids, kind, fault = batch(shapes, labels, rng, size)
        result = model.train_on_batch(grids, [kind, fault], return_dict=True)
        if step % 50 == 49:
            print(step + 1, {name: round(float(value), 3) for name, value in result.items()}, flush=True)
            model.reset_metrics()
    scale_features(model, inputs, shapes[rng.permutation(len(shapes))[:512]])
    layers = [*(f"conv{i}" for i in range(len(CHANNELS))), "dense"]
    return {
        f"{name}.{part}": value.astype(np.float16)
        for name in layers
        for part, value in zip(("kernel", "bias"), model.get_layer(name).get_weights(), strict=True)
    }


def scale_features(model: Any, inputs: Any, shapes: np.ndarray) -> None:
    """Give the features of these shapes unit variance on average, since the kernel distance depends on their scale."""
    import keras

    layer = model.get_layer("dense")
    features = keras.Model(inputs, layer.output).predict(shapes[..., None].astype(np.float32), verbose=0)
    scale = max(float(np.sqrt(features.var(0).mean())), 1e-6)
    layer.set_weights([value / scale for value in layer.get_weights()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--out", type=Path, default=PATH)
    args = parser.parse_args()
    np.savez(args.out, **train(args.steps))
    print(args.out, args.out.stat().st_size)


if __name__ == "__main__":
    main()
