"""The scores of a sweep that searches for the smallest excess: those of validation, and what tells shapes apart."""

from typing import Any

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.metrics.comparison import CHANCE, occupied
from gan3d.metrics.scores import EXCESS_SCORE, MIN_SHAPES, SET_SCORES, TELL_SCORES, floor, mean_if_complete
from gan3d.metrics.structure import Looks, look
from gan3d.metrics.tell import MOST, Tell, tells
from gan3d.metrics.validation import ValidationScorer

DIVISIONS = 2  # fewer than in an evaluation: a sweep scores often


class ExcessScorer(ValidationScorer):
    """A `ValidationScorer` that also tells samples from training shapes, judged on the validation shapes.

    Its scores have `tell_structure`, `tell_patterns` and `excess`, too: the mean over both tells and 1-NNA-CD of what
    they have above their floors, as in `gan3d.metrics.comparison`. Floors are measured once.
    """

    def __init__(self, data: VoxelDataset, resolution: int, count: int, draws: int = 1):
        super().__init__(data, resolution, count, draws)
        self.train: list[Looks] = []
        self.test: list[Looks] = []
        self.floors: list[dict[str, float]] = []
        for name, reference in zip(data.classes, self.references, strict=True):
            rows = data.select("train", name)
            rows = np.random.default_rng(0).permutation(rows)[: max(MOST, len(reference))]
            train = occupied(data.voxels(resolution, np.sort(rows)))
            self.train.append(look(train))
            self.test.append(look(reference.voxels))
            told = tells(self.train[-1], self.train[-1], self.test[-1], floor=True, divisions=DIVISIONS)
            accuracy = floor(train, reference, draws, 0)["one_nna_cd"]
            known = {"one_nna_cd": accuracy} | {f"tell_{seen}": _auc(tell) for seen, tell in told.items()}
            self.floors.append({key: CHANCE if value is None else value for key, value in known.items()})

    def scores(self, voxels: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
        """The scores of `ValidationScorer`, of both tells and of their excess, means over classes."""
        draws: list[dict[str, Any]] = []
        classes: list[dict[str, float | None]] = []
        for label in range(len(self.references)):
            of_class = self.draw_scores(samples := voxels[labels == label], label)
            draws += of_class
            told = self._tell(occupied(samples), label)
            told["one_nna_cd"] = mean_if_complete([row["one_nna_cd"] for row in of_class])
            above = [
                None if value is None else max(0.0, value - self.floors[label][key]) for key, value in told.items()
            ]
            classes.append(told | {EXCESS_SCORE: mean_if_complete(above)})
        result = {name: mean_if_complete([row[name] for row in draws]) for name in SET_SCORES}
        return result | {key: mean_if_complete([row[key] for row in classes]) for key in (*TELL_SCORES, EXCESS_SCORE)}

    def _tell(self, samples: np.ndarray, label: int) -> dict[str, float | None]:
        """How well samples of a class, none of them empty, are told; None if they are too few."""
        if len(samples) < MIN_SHAPES:
            return dict.fromkeys(TELL_SCORES)
        found = tells(look(samples), self.train[label], self.test[label], divisions=DIVISIONS)
        return {f"tell_{name}": _auc(tell) for name, tell in found.items()}


def _auc(tell: Tell | None) -> float | None:
    return None if tell is None else tell.auc
