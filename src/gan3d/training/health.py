"""Is the generator still drawing shapes? What a person should be told, and which parameter to change."""

import numpy as np

from gan3d.errors import UserError

NEAR = 0.01  # a grid this close to full says nothing
ALIKE = 0.02  # share of voxels in which two shapes of a batch differ, relative to what is occupied


class DivergedError(UserError):
    """The losses are not finite any more; going on would only overwrite what was good."""


def measure(voxels: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Shares of empty and full grids, mean occupancy and diversity of sampled shapes, booleans (N, R, R, R).

    Diversity is that of the class, of labels (N,), that has the least: 0 when all its shapes are alike.
    """
    flat = voxels.reshape(len(voxels), -1)
    share = flat.mean(1)
    classes = [flat[labels == label] for label in np.unique(labels)]
    return {
        "occupancy": float(share.mean()),
        "empty": float((share == 0).mean()),
        "full": float((share > 1 - NEAR).mean()),
        "diversity": min((diversity(shapes) for shapes in classes if len(shapes) > 1), default=1.0),
    }


def diversity(flat: np.ndarray) -> float:
    """Mean share of voxels in which two shapes differ, of those that either occupies (the Jaccard distance)."""
    other = np.roll(flat, 1, axis=0)
    return float(((flat ^ other).sum(1) / np.maximum((flat | other).sum(1), 1)).mean())


def warnings(health: dict[str, float], occupancy: float) -> list[str]:
    """One sentence for each thing that has gone wrong, with its likely cause and the parameter to change.

    Args:
        health: of `measure`.
        occupancy: share of occupied voxels in the training data.
    """
    found = []
    if health["empty"] == 1.0:
        found.append(
            f"Every sample is empty (the data's occupancy is {occupancy:.1%}): the discriminator has won or the"
            " threshold is too high; lower lr_d or raise gamma."
        )
    elif health["full"] == 1.0:
        found.append(
            f"Every sample is a full cube (the data's occupancy is {occupancy:.1%}): the generator has diverged;"
            " lower lr_g, and check the pictures of the prepared data."
        )
    elif health["diversity"] < ALIKE and health["empty"] < 1.0:
        found.append(
            "All samples of a class are alike: the generator has collapsed; raise gamma, the batch, or lower lr_g."
        )
    return found
