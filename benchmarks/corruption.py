"""Which score sees which fault: a growing share of real shapes is made worse and scored against other real ones.

    python -m benchmarks.corruption [SOURCE] [--class NAME] [--resolution 32] [--json OUT]

Without a source: the embedded chairs. Every score should move the wrong way with the share of shapes that have a fault
it sees. The table says by how much it moves from none to half of the shapes, in standard deviations of what it varies
by between sets of real shapes.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import faults
from gan3d.data.pipeline.load import load
from gan3d.data.voxelization.voxelize import voxelize
from gan3d.metrics import chamfer
from gan3d.metrics.intervals import PairedSets
from gan3d.metrics.scores import TELL_SCORES, novelty_scores, stands_scores
from gan3d.metrics.shape_features import shape_features
from gan3d.metrics.structure import look, standing
from gan3d.metrics.table import SCORES
from gan3d.metrics.tell import tells
from gan3d.synthetic.furniture import generate

SHARES = (0.0, 0.17, 0.33, 0.5)
TEST, BASES, DIVISIONS = 100, 3, 2  # shapes that are scored and that judge; sets of real shapes; of the tells
MOVES = 3.0  # standard deviations from which a score sees a fault
SEEN = tuple(score.key for score in SCORES if score.key not in ("excess", "occupancy_generated"))


def furniture(name: str, count: int, resolution: int, seed: int = 5) -> np.ndarray:
    """Embedded chairs or tables, booleans (count, R, R, R)."""
    meshes = (generate(name, i, seed) for i in range(count))
    return np.stack([voxelize(mesh.vertices, mesh.faces, resolution) for mesh in meshes])


class Scorer:
    """Scores of generated shapes against fixed real ones, without errors and floors."""

    def __init__(self, train: np.ndarray, test: np.ndarray, divisions: int = DIVISIONS, up: str = "y"):
        self.train, self.up, self.divisions = train, up, divisions
        self.reference = chamfer.prepare(test)
        self.looks = look(train), look(test)
        self.features, self.stands = shape_features(test), standing(test, up)
        self.distances = chamfer.nearest_distances(self.reference, train)

    @threadpool_limits.wrap(limits=1)
    def __call__(self, generated: np.ndarray) -> dict[str, float]:
        """Scores by key, of as many of the shapes as there are test shapes; the tells take all."""
        rows = np.random.default_rng(1).permutation(len(generated))[: len(self.reference)]
        shapes = chamfer.prepare(generated[rows])
        features = shape_features(shapes.voxels), self.features
        result = PairedSets(shapes, self.reference, features=features).scores()
        result |= stands_scores(standing(shapes.voxels, self.up), self.stands)
        result |= novelty_scores(chamfer.nearest_distances(shapes, self.train), self.distances)
        told = tells(look(generated), *self.looks, divisions=self.divisions)
        for name, tell in told.items():
            if tell:
                result |= {f"tell_{name}": tell.auc, f"tell_{name}_se": tell.error}
        return result


def spoilers(train: np.ndarray) -> dict[str, Callable[[np.ndarray, float], np.ndarray]]:
    """Every fault, from shapes and the share of them that gets it to shapes."""
    single = {
        name: lambda shapes, share, name=name: faults.spoil(shapes, name, share, np.random.default_rng(2))
        for name in faults.SINGLE
    }
    return {
        "duplicates": faults.duplicate,
        "a kind dropped": faults.drop_kind,
        **single,
        "copies of training shapes": lambda shapes, share: faults.copy_training(shapes, train, share),
    }


def measure(
    shapes: np.ndarray,
    shares: tuple[float, ...] = SHARES,
    bases: int = BASES,
    judges: int = TEST,
    divisions: int = DIVISIONS,
) -> dict[str, Any]:
    """Scores by fault and share, the first of which is 0, and what each varies by between sets of real shapes.

    Args:
        shapes: real ones, none of them empty: `judges` are scored against, a half of the others are learned, a half are
            made worse.
    """
    shapes = shapes[np.random.default_rng(0).permutation(len(shapes))]
    test, rest = shapes[:judges], shapes[judges:]
    train, generated = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    scorer = Scorer(train, test, divisions)
    sets = np.array_split(generated, bases)
    real = [scorer(part) for part in sets]
    deviation = {key: float(np.std([row[key] for row in real], ddof=1)) for key in SEEN}
    whole = scorer(generated)  # the tells take all shapes, so that a part of them varies by more
    deviation |= {key: whole[f"{key}_se"] for key in TELL_SCORES}
    rows = {}
    for name, spoil in spoilers(train).items():
        rows[name] = [whole, *(scorer(spoil(generated, share)) for share in shares[1:])]
        print(name, {key: [round(row[key], 3) for row in rows[name]] for key in SEEN}, flush=True)
    return {"shares": shares, "deviation": deviation, "faults": rows}


def change(measured: dict[str, Any], fault: str, key: str) -> tuple[float, bool]:
    """How far a score moves from none to half of the shapes, in what it varies by; and whether it never turns back."""
    values = [row[key] for row in measured["faults"][fault]]
    noise = max(measured["deviation"][key], 0.005 * max(abs(values[0]), 1e-3))
    steps = np.diff(values) * np.sign(values[-1] - values[0])
    return (values[-1] - values[0]) / noise, bool((steps > -noise / 2).all())


def table(measured: dict[str, Any]) -> str:
    """Scores by fault in Markdown; bold where a score sees a fault: it moves by MOVES or more, and never back."""
    lines = ["| score | " + " | ".join(measured["faults"]) + " |", "|---" * (len(measured["faults"]) + 1) + "|"]
    for score in SCORES:
        if score.key in measured["deviation"]:
            cells = []
            for fault in measured["faults"]:
                moved, steady = change(measured, fault, score.key)
                text = f"{np.clip(moved, -99, 99):+.0f}".replace("-", "−") if abs(moved) >= 1 else "0"
                cells.append(f"**{text}**" if steady and abs(moved) >= MOVES else text)
            lines.append(f"| {score.heading} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("--class", dest="name", default="chair")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--most", type=int, default=600)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.source is None:
        shapes = furniture(args.name, args.most, args.resolution)
    else:
        shapes = load(args.source, args.resolution, None, args.name).voxels
        shapes = shapes[np.random.default_rng(0).permutation(len(shapes))[: args.most]]
    measured = measure(shapes[shapes.any((1, 2, 3))])
    print(table(measured))
    if args.json:
        args.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
