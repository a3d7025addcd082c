"""A checkup of a training: what D says of shapes that it has and has not seen, and what G's samples are like.

It is made whenever pictures are, on the same real shapes and latents each time. It draws no random number of the
training's and changes no weight, and it joins the logged row.
"""

import re
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from gan3d.dataset import VoxelDataset
from gan3d.metrics import chamfer
from gan3d.metrics.chamfer import Prepared
from gan3d.networks.architecture import Architecture
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler
from gan3d.training.step import State, preprocess_real
from gan3d.voxels import largest_component_share, max_pool

NEAR = 0.01  # a grid this close to full says nothing
SEED = 5  # chooses the shapes that are looked at; fixed, so that checkups can be compared
JUDGED = 64  # shapes of each kind that D scores, over all classes
COVERED = 128  # samples whose closest validation shapes are counted, over all classes
FINEST = 16  # at which they are compared: finer ones are reduced
FEWEST = 8  # validation shapes that a class needs to be counted
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


class Diagnostics:
    """Looks at the networks of a stage.

    Args:
        data: its splits "train" and "validation" are used; without validation shapes less can be said.
        networks: generator and discriminator of the stage; only their structure is used.
        sampler: of the averaged generator, whose weights the caller sets.
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
        self.each = max(FEWEST, COVERED // len(data.classes))
        self.modes = {label: modes for label in range(len(data.classes)) if (modes := self._modes(label)) is not None}
        self.covered_by_real = {label: self._covered_by_real(label) for label in self.modes}
        real = data.voxels(resolution, self._chosen("train", range(len(data.classes)), self.each))
        self.data_largest_piece = (
            float(largest_component_share(real[real.any((1, 2, 3))]).mean()) if real.any() else 0.0
        )

    def examine(self, state: State, alpha: float, shapes: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """All that a checkup finds, by names for MLflow.

        Args:
            state: of the step; the average's weights must be those of the sampler.
            alpha: of the fade-in.
            shapes, labels: the pictured samples, booleans (n, R, R, R) and (n,).
        """
        found = {f"samples/{name}": value for name, value in sample_statistics(shapes, labels).items()}
        found["samples/largest_piece_of_data"] = self.data_largest_piece
        found["samples/occupancy_of_data"] = self.architecture.occupancy[-1]
        return found | self._scores(state, alpha) | self._coverage(alpha)

    def _scores(self, state: State, alpha: float) -> dict[str, float]:
        """D's scores of real shapes, learned from and held out, and of generated ones: quantiles and overfitting.

        r_v = (E[D(train)] - E[D(validation)]) / (E[D(train)] - E[D(generated)]) and r_t = E[sign D(train)], from Karras
        et al. 2020 (ADA), eq. 1; 0 is no overfitting, 1 complete. In place of 0, r_t has the score of a generated shape
        of the same class, since a relativistic loss leaves the level of scores free. r_v is 0, too, where D
        does not tell training shapes from generated ones: the gap is then no more than noise.
        """
        if not len(self.labels):
            return {}
        critic = [ops.convert_to_numpy(w) for w in state["discriminator"]]
        weights = [ops.convert_to_numpy(w) for w in state["generator"]]
        alpha32, still = np.float32(alpha), np.zeros(len(self.labels), np.int32)
        kinds = {
            split: preprocess_real(bits, self.architecture.resolution, still, alpha32)
            for split, bits in self.real.items()
        }
        kinds["generated"] = self.generator.stateless_call(weights, [], self.latents, self.labels, alpha=alpha32)[0]
        scores = {
            kind: ops.convert_to_numpy(
                self.discriminator.stateless_call(critic, [], voxels, self.labels, alpha=alpha32)[0]
            ).astype(np.float64)
            for kind, voxels in kinds.items()
        }
        found = {
            f"scores/{kind}_{name}": float(np.quantile(values, share))
            for kind, values in scores.items()
            for name, share in QUANTILES.items()
        }
        train, validation, generated = (values.mean() for values in scores.values())
        gap, noise = train - generated, np.hypot(scores["train"].std(), scores["generated"].std()) / JUDGED**0.5
        found["overfitting/r_v"] = float(np.clip((train - validation) / gap, -1, 2)) if gap > 3 * noise else 0.0
        found["overfitting/r_t"] = float(np.sign(scores["train"] - scores["generated"]).mean())
        return found

    def _coverage(self, alpha: float) -> dict[str, float]:
        """Share of each class's validation shapes that are the closest of some sample, and what real shapes reach."""
        found = {}
        for label, modes in self.modes.items():
            vectors = draw_latents(SEED + 1, len(modes), self.architecture.latent)
            samples = self.sampler.occupancy(vectors, np.full(len(modes), label), alpha)
            covered = coverage(_coarse(self.sampler.binary(samples)), modes)
            found[f"coverage/{metric_name(self.data.classes[label])}"] = covered
        if found:
            found["coverage/all_classes"] = float(np.mean(list(found.values())))
            found["coverage/real_shapes"] = float(np.mean(list(self.covered_by_real.values())))
        return found

    def _labels(self) -> np.ndarray:
        """Classes of the shapes that D scores: evenly many of each that has any to validate on, in random order.

        The order is the same for all kinds of shapes, so that their groups in the minibatch standard deviation are
        alike; their number is a multiple of any group.
        """
        able = [i for i, name in enumerate(self.data.classes) if len(self.data.select("validation", name))]
        return self.rng.permutation(np.resize(np.array(able, np.int32), JUDGED if able else 0))

    def _rows(self, split: str) -> np.ndarray:
        """Rows of the data set with the classes `self.labels`."""
        rows = np.zeros(len(self.labels), np.int64)
        for label in np.unique(self.labels):
            places = np.flatnonzero(self.labels == label)
            rows[places] = np.resize(self._chosen(split, [int(label)], len(places)), len(places))
        return rows

    def _chosen(self, split: str, labels: Sequence[int], each: int) -> np.ndarray:
        """Up to `each` rows a class of a split, at random."""
        names = [self.data.classes[label] for label in labels]
        return np.concatenate([self.rng.permutation(self.data.select(split, name))[:each] for name in names])

    def _modes(self, label: int) -> Prepared | None:
        """Validation shapes of a class that samples are compared with, None where there are too few."""
        rows = self._chosen("validation", [label], self.each)
        shapes = _coarse(self.data.voxels(self.architecture.resolution, rows))
        shapes = shapes[shapes.any((1, 2, 3))]
        return chamfer.prepare(shapes) if len(shapes) >= FEWEST else None

    def _covered_by_real(self, label: int) -> float:
        rows = self._chosen("train", [label], len(self.modes[label]))
        return coverage(_coarse(self.data.voxels(self.architecture.resolution, rows)), self.modes[label])


def coverage(shapes: np.ndarray, modes: Prepared) -> float:
    """Share of `modes` that are the closest one, by Chamfer distance, of at least one of the shapes (n, R, R, R)."""
    shapes = shapes[shapes.any((1, 2, 3))]
    if not len(shapes):
        return 0.0
    return len(np.unique(chamfer.distances(chamfer.prepare(shapes), modes).argmin(1))) / len(modes)


def metric_name(name: str) -> str:
    """A class as part of a metric's name: MLflow takes letters, digits, spaces, hyphens and underscores."""
    return re.sub(r"[^\w -]", "_", name)


def _coarse(voxels: np.ndarray) -> np.ndarray:
    while voxels.shape[1] > FINEST:
        voxels = max_pool(voxels)
    return voxels


def sample_statistics(voxels: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Shares of empty and full grids, mean occupancy, largest piece and diversity of samples, booleans (N, R, R, R).

    Diversity is that of the class, of labels (N,), that has the least: 0 when all its shapes are alike. Empty shapes
    have no largest piece.
    """
    flat = voxels.reshape(len(voxels), -1)
    share = flat.mean(1)
    classes = [flat[labels == label] for label in np.unique(labels)]
    pieces = largest_component_share(voxels[share > 0])
    return {
        "occupancy": float(share.mean()),
        "empty": float((share == 0).mean()),
        "full": float((share > 1 - NEAR).mean()),
        "largest_piece": float(pieces.mean()) if len(pieces) else 0.0,
        "diversity": min((diversity(shapes) for shapes in classes if len(shapes) > 1), default=1.0),
    }


def diversity(flat: np.ndarray) -> float:
    """Mean share of voxels in which two shapes differ, of those that either occupies (the Jaccard distance)."""
    other = np.roll(flat, 1, axis=0)
    return float(((flat ^ other).sum(1) / np.maximum((flat | other).sum(1), 1)).mean())
