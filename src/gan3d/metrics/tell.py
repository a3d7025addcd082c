"""Tell: how well a classifier tells generated shapes from real ones by the looks of single shapes.

Gradient-boosted trees learn generated shapes against real training shapes from one look (`gan3d.metrics.structure`),
and are judged on other generated shapes against real test shapes: a classifier two-sample test (Lopez-Paz and Oquab
2017, arXiv:1610.06545) whose figure is the area under the ROC curve, averaged over random divisions of the generated
shapes. 0.5 cannot tell, 1 always tells.
"""

import os
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from gan3d.metrics import blocks
from gan3d.metrics.scores import MIN_SHAPES
from gan3d.metrics.structure import STATISTICS, Looks

LOOKS = {"structure": tuple(STATISTICS), "patterns": blocks.NAMES}  # name -> what the classifier sees
DIVISIONS = 5
MOST = 800  # shapes of each set
GENERATED = 400  # shapes for a figure that is worth quoting
MIN_HELD = 3  # generated shapes that judge; of fewer there is no figure
TREES = {"max_iter": 100, "learning_rate": 0.05, "random_state": 0}

# what more and less of a statistic is called
WORDS = {
    "pieces": ("in more pieces than", "in fewer pieces than"),
    "tunnels": ("with more tunnels than", "with fewer tunnels than"),
    "cavities": ("with more cavities than", "with fewer cavities than"),
    "thin": ("with more thin parts than", "with fewer thin parts than"),
    "flat": ("with more flat faces than", "with fewer flat faces than"),
    "occupied": ("fuller than", "emptier than"),
    "surface": ("with more surface for their volume than", "with less surface for their volume than"),
    "asymmetry": ("less symmetric than", "more symmetric than"),
    "10000000": ("with more outer corners than", "with fewer outer corners than"),
    "11000000": ("with more straight edges than", "with fewer straight edges than"),
    "11100000": ("with edges more ragged than", "with edges less ragged than"),
    "11110000": ("with more flat faces than", "with fewer flat faces than"),
    "11111100": ("with more inner edges than", "with fewer inner edges than"),
    "11111110": ("with more inner corners than", "with fewer inner corners than"),
}


@dataclass(frozen=True, eq=False)
class Division:
    """One random division: who judged the classifier, and how it ranked them.

    Attributes:
        held: positions of the generated shapes that judged, (n,).
        tested: positions of the test shapes, (n,).
        above: for each held shape, the share of tested ones that look more real; equal ones count half.
        below: for each tested shape, the share of held ones that look less real.
        alone: area under the curve of each single statistic; below 0.5, generated shapes have more of it.
    """

    held: np.ndarray
    tested: np.ndarray
    above: np.ndarray
    below: np.ndarray
    alone: np.ndarray

    @property
    def auc(self) -> float:
        return float(self.above.mean())


@dataclass(frozen=True, eq=False)
class Tell:
    """A classifier's figure over all divisions.

    Attributes:
        divisions: at least one.
        generated: number of generated shapes, of which the divisions take their parts.
        test: number of test shapes.
    """

    divisions: list[Division]
    generated: int
    test: int

    @property
    def auc(self) -> float:
        """Mean area under the ROC curve."""
        return float(np.mean([division.auc for division in self.divisions]))

    @property
    def std(self) -> float:
        """Standard deviation over divisions."""
        return float(np.std([division.auc for division in self.divisions], ddof=1)) if len(self.divisions) > 1 else 0.0

    @property
    def alone(self) -> np.ndarray:
        """Mean area under the curve of each statistic."""
        return np.mean([division.alone for division in self.divisions], axis=0)

    @cached_property
    def influences(self) -> tuple[np.ndarray, np.ndarray]:
        """What each generated and each test shape adds to the figure's error (DeLong et al. 1988), (G,) and (T,)."""
        generated, test = np.zeros(self.generated), np.zeros(self.test)
        for division in self.divisions:
            n = len(division.held)
            scale = 1 / (len(self.divisions) * np.sqrt(n * max(n - 1, 1)))
            generated[division.held] += scale * (division.above - division.auc)
            test[division.tested] += scale * (division.below - division.auc)
        return generated, test

    @property
    def error(self) -> float:
        """Standard error: other generated and other test shapes; the classifiers stay."""
        return float(np.sqrt(sum(np.square(part).sum() for part in self.influences)))


def excess_error(tell: Tell, floor: Tell) -> float:
    """Standard error of the difference between two figures that the same test shapes judged."""
    (generated, test), (of_floor, test_of_floor) = tell.influences, floor.influences
    parts = (generated, of_floor, test - test_of_floor)
    return float(np.sqrt(sum(np.square(part).sum() for part in parts)))


def choose(generated: int, train: int, test: int) -> list[np.ndarray]:
    """Positions of at most MOST random shapes of each set that take part."""
    rng = np.random.default_rng(0)
    return [rng.permutation(count)[:MOST] for count in (generated, train, test)]


def tells(
    generated: Looks, train: Looks, test: Looks, floor: bool = False, divisions: int = DIVISIONS
) -> dict[str, Tell | None]:
    """Tell generated from real shapes by each of LOOKS.

    Args:
        generated: looks of generated shapes, of which two thirds or more are learned and the others judge.
        train: of real shapes that are learned.
        test: of real shapes that judge.
        floor: let one half of the training shapes play the generated ones, which are ignored.
        divisions: how often the generated shapes are divided at random.

    Returns:
        By the look's name; None if there are too few shapes of a kind.
    """
    rows = list(_divide(len(generated), len(train), len(test), floor, divisions))
    if len(train) < MIN_SHAPES or min(len(held) for held, *_ in rows) < MIN_HELD:
        return dict.fromkeys(LOOKS)
    sets = [(getattr(train if floor else generated, name), getattr(train, name), getattr(test, name)) for name in LOOKS]
    jobs = [(tables, parts) for tables in sets for parts in rows]
    with _own_warnings(), ThreadPoolExecutor(os.cpu_count()) as threads:
        results = list(threads.map(lambda job: _judge(*job), jobs))
    count = len(train) if floor else len(generated)
    return {name: Tell(results[i * divisions : (i + 1) * divisions], count, len(test)) for i, name in enumerate(LOOKS)}


@contextmanager
def _own_warnings() -> Iterator[None]:
    """Keep Python's filters of warnings: scikit-learn sets them in every fit, and two threads at once empty them."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda *_, **__: None
        yield


Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _divide(generated: int, train: int, test: int, floor: bool, divisions: int) -> Iterator[Parts]:
    """Positions of the generated shapes that judge and that are learned, of training and of test shapes."""
    shuffled = np.arange(train)
    for division in range(divisions):
        rng = np.random.default_rng(division)
        if floor:
            shuffled = shuffled[rng.permutation(train)]
            playing, learned = shuffled[: train // 2], shuffled[train // 2 :]
        else:
            playing, learned = np.arange(generated), np.arange(train)
        playing = playing[rng.permutation(len(playing))]
        held = min(test, len(playing) // 3)
        yield playing[:held], playing[held:], learned, rng.permutation(test)[:held]


def _judge(tables: tuple[np.ndarray, np.ndarray, np.ndarray], parts: Parts) -> Division:
    (of_generated, of_train, of_test), (held, fakes, learned, tested) = tables, parts
    x = np.concatenate([of_generated[fakes], of_train[learned]])
    y = np.r_[np.zeros(len(fakes)), np.ones(len(learned))]
    weight = np.where(y == 0, 1 / max(len(fakes), 1), 1 / len(learned)) * len(y)
    judging = np.concatenate([of_generated[held], of_test[tested]])
    # one thread for the trees of a few hundred shapes; OpenMP's limit holds for the thread that sets it
    with threadpool_limits(1, user_api="openmp"):
        trees = HistGradientBoostingClassifier(**TREES).fit(x, y, weight)
        above, below = placements(trees.predict_proba(judging)[:, 1], len(held))
    alone = np.array([placements(column, len(held))[0].mean() for column in judging.T])
    return Division(held, tested, above, below, alone)


def placements(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of the second set above each value of the first, and of the first below each of the second.

    Equal values count half; the mean of either is the area under the ROC curve.

    Args:
        values: (n + m,), of which the first `count` are of the first set.
    """
    n, m = count, len(values) - count
    ranks = rankdata(values)
    first, second = rankdata(values[:count]), rankdata(values[count:])
    return 1 - (ranks[:count] - first) / m, (ranks[count:] - second) / n


def telling(alone: dict[str, float], least: float = 0.6, most: int = 4) -> list[str]:
    """What gives generated shapes away, in words, the strongest first.

    Args:
        alone: area under the curve of single statistics, by name.
        least: area (or 1 minus it) from which a statistic is named.
        most: number of statistics.

    Returns:
        Such as "less symmetric than real shapes (0.90)".
    """
    strength = {name: max(value, 1 - value) for name, value in alone.items()}
    strongest = sorted((name for name in alone if strength[name] >= least), key=lambda name: -strength[name])
    return [f"{_words(name, alone[name])} real shapes ({strength[name]:.2f})" for name in strongest[:most]]


def telling_words(row: Mapping[str, Any]) -> list[str]:
    """What gives the generated shapes of a row of scores away, by both looks, the strongest first."""
    return telling({name: value for look in LOOKS for name, value in row.get(f"tell_{look}_alone", {}).items()})


def _words(name: str, value: float) -> str:
    more, less = WORDS.get(name, (f"with more blocks {name} than", f"with fewer blocks {name} than"))
    return more if value < 0.5 else less
