"""Advice during training: what has gone wrong, its likely cause, and the parameter to change."""

from collections.abc import Mapping, Sequence

import numpy as np

MIN_DIVERSITY = 0.02  # Jaccard distance between samples below which the generator has collapsed
MEMORISING = 0.6  # r_v: held-out shapes are scored more like generated than like training shapes
FRAGMENTED = 0.1  # by which the largest component's share may fall below the data's
OCCUPANCY_RATIO = 1.5  # by which samples and data may differ
MIN_COVERAGE = 0.4  # as a share of what real shapes cover
SATURATED = 0.98  # accuracy of D on both kinds above which G learns little
EXPLODING = 30.0  # times the usual gradient norm
RECENT = 5  # logged rows
CONSECUTIVE = 3  # diagnostics that must agree: one alone is noise (r_v has a standard error near 0.2)

Row = Mapping[str, float]


def advise(row: Row, history: Sequence[Row] = ()) -> list[str]:
    """One sentence per problem, with its likely cause and the parameter to change.

    Args:
        row: the newest row, with its diagnostics; what it lacks is not judged.
        history: the rows before it.

    Returns:
        A collapse alone if there is one, otherwise all other problems. Scores and samples are judged after the
        fade-in, and only if CONSECUTIVE diagnostics agree.
    """
    collapsed = collapse(row)
    if collapsed:
        return [collapsed]
    if row.get("alpha", 1.0) < 1:
        return []
    rows = [*history, row]
    diagnostics = [one for one in rows if "samples/occupancy" in one and one.get("alpha", 1.0) == 1][-CONSECUTIVE:]
    found = [_gradients(row, history), _saturated(rows)]
    if len(diagnostics) == CONSECUTIVE:
        found += [
            _memorising(diagnostics),
            _fragmented(diagnostics),
            _occupancy(diagnostics),
            _mode_coverage(diagnostics),
        ]
    return [message for message in found if message]


def collapse(row: Row) -> str | None:
    """One sentence if all samples are empty, full or equal, else None."""
    occupancy = row["samples/occupancy_of_data"]
    if row["samples/empty"] == 1.0:
        return (
            f"Every sample is empty (the data's occupancy is {occupancy:.1%}): the discriminator is too strong or the"
            " threshold is too high; lower lr_d or raise gamma."
        )
    if row["samples/full"] == 1.0:
        return (
            f"Every sample is a full cube (the data's occupancy is {occupancy:.1%}): the generator has diverged;"
            " lower lr_g, and check the report of the prepared data."
        )
    if row["samples/diversity"] < MIN_DIVERSITY:
        return "All samples of a class are alike: the generator has collapsed; raise gamma or batch, or lower lr_g."
    return None


def _gradients(row: Row, history: Sequence[Row]) -> str | None:
    for name, network, remedy in (
        ("gradient_d", "discriminator", "lower lr_d or raise gamma"),
        ("gradient_g", "generator", "lower lr_g"),
    ):
        usual = [earlier[name] for earlier in history if name in earlier]
        if name in row and len(usual) >= RECENT and row[name] > EXPLODING * np.median(usual):
            times = row[name] / np.median(usual)
            return (
                f"The {network}'s gradients are {times:.0f} times their usual norm: it is about to diverge; {remedy}."
            )
    return None


def _saturated(rows: Sequence[Row]) -> str | None:
    recent = [row for row in rows[-RECENT:] if "accuracy_real" in row and "accuracy_fake" in row]
    if len(recent) < RECENT or min(min(row["accuracy_real"], row["accuracy_fake"]) for row in recent) < SATURATED:
        return None
    return (
        "The discriminator tells nearly all generated shapes from real ones, so the generator learns little;"
        " lower lr_d, raise gamma, or raise lr_g."
    )


def _memorising(diagnostics: Sequence[Row]) -> str | None:
    values = _values(diagnostics, "overfitting/r_v")
    if not len(values) or values.mean() < MEMORISING:
        return None
    return (
        "The discriminator scores held-out shapes more like generated than like training shapes (r_v is"
        f" {values.mean():.2f}; 0 is ideal): it memorises the training shapes; set mirror or ada_target, raise"
        " gamma, shorten stabilise, or prepare more shapes."
    )


def _fragmented(diagnostics: Sequence[Row]) -> str | None:
    own, data = _values(diagnostics, "samples/largest_piece"), diagnostics[-1]["samples/largest_piece_of_data"]
    if (own >= data - FRAGMENTED).any():
        return None
    return (
        f"Samples are fragmented (the largest component holds {own[-1]:.0%} of a shape, in the data {data:.0%}): the"
        " generator has not learned enough yet or oscillates; raise stabilise, the batch or ema, or lower lr_g."
    )


def _occupancy(diagnostics: Sequence[Row]) -> str | None:
    own, data = _values(diagnostics, "samples/occupancy"), diagnostics[-1]["samples/occupancy_of_data"]
    little, much = (own < data / OCCUPANCY_RATIO).all(), (own > data * OCCUPANCY_RATIO).all()
    if not little and not much:
        return None
    return (
        f"Samples occupy too {'little' if little else 'much'} ({own[-1]:.1%} of the grid, the data {data:.1%}): the"
        " generator oscillates or favours some shapes; lower lr_g, raise ema or gamma."
    )


def _mode_coverage(diagnostics: Sequence[Row]) -> str | None:
    special = ("coverage/all_classes", "coverage/real_shapes")
    names = [name for name in diagnostics[-1] if name.startswith("coverage/") and name not in special]
    if not names:
        return None
    covered = {name: _values(diagnostics, name).mean() for name in names}
    name, real = min(covered, key=lambda one: covered[one]), diagnostics[-1]["coverage/real_shapes"]
    if covered[name] >= MIN_COVERAGE * real:
        return None
    return (
        f"Samples of {name.removeprefix('coverage/')} cover only {covered[name]:.0%} of the validation shapes (real"
        f" ones {real:.0%}): the generator drops modes; raise gamma, batch or width."
    )


def _values(diagnostics: Sequence[Row], name: str) -> np.ndarray:
    return np.array([row[name] for row in diagnostics if name in row])
