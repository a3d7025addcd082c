"""Diagnostics of a training: D's scores of shapes it has and has not seen, and statistics of G's samples.

Computed whenever samples are drawn, on the same real shapes and latents each time. They consume none of the training's
random numbers, change no weight, and join the logged row.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from gan3d.dataset import VoxelDataset
from gan3d.metrics import chamfer
from gan3d.metrics.chamfer import Prepared
from gan3d.metrics.names import metric_name
from gan3d.networks.architecture import Architecture
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler
from gan3d.training.step import State, preprocess_real
from gan3d.voxels import largest_component_share, max_pool

NEARLY_FULL = 0.01  # empty share below which a grid counts as full
SEED = 5  # of the shapes looked at; fixed, so that diagnostics can be compared
SCORED = 64  # shapes of each kind that D scores, over all classes
COVERAGE_SAMPLES = 128  # over all classes
MAX_RESOLUTION = 16  # at which coverage is computed: finer shapes are max-pooled
COVERAGE_CLASSES = 64  # evenly spaced, whose coverage is computed
NAMED_CLASSES = 24  # whose coverage is a metric of its own
MIN_SHAPES = 8  # validation shapes that coverage needs per class
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


class Diagnostics:
    """Computes the diagnostics of a stage.

    Args:
        data: its splits "train" and "validation" are used; without validation shapes there are fewer diagnostics.
        networks: generator and discriminator of the stage; only their structure is used.
        sampler: of the EMA generator, whose weights the caller sets.
    """

    def __init__(self, data: VoxelDataset, networks: tuple[keras.Model, keras.Model], sampler: Sampler):
        self.generator, self.discriminator = networks
        self.architecture: Architecture = self.generator.architecture
        self.data, self.sampler = data, sampler
        self.rng = np.random.default_rng(SEED)
        self.labels = self._labels()
        resolution = self.architecture.resolution
        self.real = {split: np.asarray(data.packed(resolution)[self._rows(split)]) for split in ("train", "validation")}
        self.latents = draw_latents(SEED, len(self.labels), self.architecture.latent)
        count = min(len(data.classes), COVERAGE_CLASSES)
        covered = np.linspace(0, len(data.classes) - 1, count).astype(int).tolist()
        self.each = max(MIN_SHAPES, COVERAGE_SAMPLES // len(data.classes))
        self.modes = {label: modes for label in covered if (modes := self._modes(label)) is not None}
        self.covered_by_real = {label: self._covered_by_real(label) for label in self.modes}
        real = data.voxels(resolution, self._random_rows("train", covered, self.each))
        self.data_largest_piece = (
            float(largest_component_share(real[real.any((1, 2, 3))]).mean()) if real.any() else 0.0
        )

    def examine(self, state: State, alpha: float, shapes: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """All diagnostics by metric name.

        Args:
            state: of the step; its EMA must be the sampler's weights.
            alpha: of the fade-in.
            shapes: the samples, booleans (n, R, R, R).
            labels: of the samples, (n,).
        """
        found = {f"samples/{name}": value for name, value in sample_statistics(shapes, labels).items()}
        found["samples/largest_piece_of_data"] = self.data_largest_piece
        found["samples/occupancy_of_data"] = self.architecture.occupancy[-1]
        return found | self._scores(state, alpha) | self._coverage(alpha)

    def _scores(self, state: State, alpha: float) -> dict[str, float]:
        """Quantiles of D's scores of training, validation and generated shapes, and two measures of overfitting.

        r_v = (E[D(train)] - E[D(validation)]) / (E[D(train)] - E[D(generated)]) and r_t = E[sign D(train)], from Karras
        et al. 2020a, eq. 1; 0 is no overfitting, 1 complete. r_t compares with the score of a generated shape of the
        same class instead of 0, since a relativistic loss leaves the level of scores free. r_v is 0 if D does not tell
        training from generated shapes beyond noise.
        """
        if not len(self.labels):
            return {}
        discriminator_weights = [ops.convert_to_numpy(w) for w in state["discriminator"]]
        weights = [ops.convert_to_numpy(w) for w in state["generator"]]
        alpha32, unflipped = np.float32(alpha), np.zeros(len(self.labels), np.int32)
        kinds = {
            split: preprocess_real(bits, self.architecture.resolution, unflipped, alpha32)
            for split, bits in self.real.items()
        }
        kinds["generated"] = self.generator.stateless_call(weights, [], self.latents, self.labels, alpha=alpha32)[0]
        scores = {
            kind: ops.convert_to_numpy(
                self.discriminator.stateless_call(discriminator_weights, [], voxels, self.labels, alpha=alpha32)[0]
            ).astype(np.float64)
            for kind, voxels in kinds.items()
        }
        found = {
            f"scores/{kind}_{name}": float(np.quantile(values, share))
            for kind, values in scores.items()
            for name, share in QUANTILES.items()
        }
        train, validation, generated = (values.mean() for values in scores.values())
        gap, noise = train - generated, np.hypot(scores["train"].std(), scores["generated"].std()) / SCORED**0.5
        found["overfitting/r_v"] = float(np.clip((train - validation) / gap, -1, 2)) if gap > 3 * noise else 0.0
        found["overfitting/r_t"] = float(np.sign(scores["train"] - scores["generated"]).mean())
        return found

    def _coverage(self, alpha: float) -> dict[str, float]:
        """Per class, the share of validation shapes that are nearest to some sample, and what real shapes reach.

        Of many classes, the first NAMED_CLASSES that are looked at, and the mean over all that are.
        """
        found = {}
        for label, modes in self.modes.items():
            vectors = draw_latents(SEED + 1, len(modes), self.architecture.latent)
            samples = self.sampler.occupancy(vectors, np.full(len(modes), label), alpha)
            covered = coverage(_coarse(self.sampler.binary(samples)), modes)
            found[f"coverage/{metric_name(self.data.classes[label])}"] = covered
        if found:
            mean = float(np.mean(list(found.values())))
            found = dict(list(found.items())[:NAMED_CLASSES]) | {"coverage/all_classes": mean}
            found["coverage/real_shapes"] = float(np.mean(list(self.covered_by_real.values())))
        return found

    def _labels(self) -> np.ndarray:
        """Labels of the shapes that D scores: equally many per class with validation shapes, in random order.

        The order is the same for all kinds of shapes, so that their groups in the minibatch standard deviation match;
        their number is a multiple of any group size.
        """
        usable = [i for i, name in enumerate(self.data.classes) if len(self.data.select("validation", name))]
        return self.rng.permutation(np.resize(np.array(usable, np.int32), SCORED if usable else 0))

    def _rows(self, split: str) -> np.ndarray:
        """Rows of the data set with the classes `self.labels`."""
        rows = np.zeros(len(self.labels), np.int64)
        for label in np.unique(self.labels):
            places = np.flatnonzero(self.labels == label)
            rows[places] = np.resize(self._random_rows(split, [int(label)], len(places)), len(places))
        return rows

    def _random_rows(self, split: str, labels: Sequence[int], each: int) -> np.ndarray:
        """Up to `each` random rows per class of a split."""
        names = [self.data.classes[label] for label in labels]
        return np.concatenate([self.rng.permutation(self.data.select(split, name))[:each] for name in names])

    def _modes(self, label: int) -> Prepared | None:
        """The validation shapes of a class, prepared for distances; None if there are too few."""
        rows = self._random_rows("validation", [label], self.each)
        shapes = _coarse(self.data.voxels(self.architecture.resolution, rows))
        shapes = shapes[shapes.any((1, 2, 3))]
        return chamfer.prepare(shapes) if len(shapes) >= MIN_SHAPES else None

    def _covered_by_real(self, label: int) -> float:
        rows = self._random_rows("train", [label], len(self.modes[label]))
        return coverage(_coarse(self.data.voxels(self.architecture.resolution, rows)), self.modes[label])


def coverage(shapes: np.ndarray, modes: Prepared) -> float:
    """Share of `modes` that are the nearest, by Chamfer distance, to at least one of the shapes (n, R, R, R)."""
    shapes = shapes[shapes.any((1, 2, 3))]
    if not len(shapes):
        return 0.0
    return len(np.unique(chamfer.distances(chamfer.prepare(shapes), modes).argmin(1))) / len(modes)


def _coarse(voxels: np.ndarray) -> np.ndarray:
    while voxels.shape[1] > MAX_RESOLUTION:
        voxels = max_pool(voxels)
    return voxels


def sample_statistics(voxels: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Statistics of samples, booleans (N, R, R, R) with labels (N,).

    Shares of empty and of full grids, mean occupancy, mean share of the largest connected component (of non-empty
    shapes), and diversity: that of the least diverse class, 0 if all its shapes are equal.
    """
    flat = voxels.reshape(len(voxels), -1)
    share = flat.mean(1)
    classes = [flat[labels == label] for label in np.unique(labels)]
    pieces = largest_component_share(voxels[share > 0])
    return {
        "occupancy": float(share.mean()),
        "empty": float((share == 0).mean()),
        "full": float((share > 1 - NEARLY_FULL).mean()),
        "largest_piece": float(pieces.mean()) if len(pieces) else 0.0,
        "diversity": min((diversity(shapes) for shapes in classes if len(shapes) > 1), default=1.0),
    }


def diversity(flat: np.ndarray) -> float:
    """Mean Jaccard distance between shapes, (N, R³) booleans."""
    other = np.roll(flat, 1, axis=0)
    return float(((flat ^ other).sum(1) / np.maximum((flat | other).sum(1), 1)).mean())
