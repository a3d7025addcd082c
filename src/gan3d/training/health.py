"""Is the generator still drawing shapes? What a person should be told, and which parameter to change."""

import numpy as np

NEAR = 0.01  # a grid this close to empty or full says nothing
ALIKE = 0.02  # share of voxels in which two shapes of a batch differ, relative to what is occupied


def measure(voxels: np.ndarray) -> dict[str, float]:
    """Shares of empty and full grids, mean occupancy and diversity of sampled shapes, booleans (N, R, R, R).

    Diversity is the mean share of voxels in which two samples differ, divided by the share that either occupies
    (the Jaccard distance): 0 when all are alike.
    """
    flat = voxels.reshape(len(voxels), -1)
    share = flat.mean(1)
    other = np.roll(flat, 1, axis=0)
    union = (flat | other).sum(1)
    return {
        "occupancy": float(share.mean()),
        "empty": float((share == 0).mean()),
        "full": float((share > 1 - NEAR).mean()),
        "diversity": float(((flat ^ other).sum(1) / np.maximum(union, 1)).mean()),
    }


def warnings(health: dict[str, float], losses: dict[str, float], occupancy: float) -> list[str]:
    """One sentence for each thing that has gone wrong, with its likely cause and the parameter to change.

    Args:
        health: of `measure`.
        losses: the latest logs of the step.
        occupancy: share of occupied voxels in the training data.
    """
    found = []
    if not all(np.isfinite(value) for value in losses.values()):
        found.append("The losses are not finite: training has diverged; lower lr_g and lr_d, or raise gamma.")
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
        found.append("All samples are alike: the generator has collapsed; raise gamma, the batch, or lower lr_g.")
    return found
