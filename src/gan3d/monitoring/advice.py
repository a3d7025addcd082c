"""Is the training still healthy? What a person should be told, and which parameter to change."""

from collections.abc import Mapping, Sequence

import numpy as np

ALIKE = 0.02  # share of voxels in which two shapes of a batch differ, relative to what is occupied
MEMORISED = 0.6  # of r_v: held-out shapes are scored more like generated than like training shapes
BROKEN = 0.1  # by which the largest piece's share may fall below the data's
FACTOR = 1.5  # by which occupancies may differ
COVERED = 0.4  # of what real shapes cover
WON = 0.98  # accuracy of D on both kinds from which on it teaches G nothing
EXPLODED = 30.0  # times the usual length of a gradient
RECENT = 5  # rows that are looked at together
CHECKUPS = 3  # in a row that must show an ailment: one alone is noise (r_v has a standard error near 0.2)

Row = Mapping[str, float]


def advise(row: Row, history: Sequence[Row] = ()) -> list[str]:
    """One sentence for each thing that has gone wrong, with its likely cause and the parameter to change.

    Args:
        row: the newest row, with what `gan3d.monitoring.diagnostics` found; what it lacks is not judged.
        history: the rows before it.

    Returns:
        A collapse alone where there is one; else whatever else is found. Scores and shapes are judged once the new
        layers have faded in, and when CHECKUPS of them in a row agree.
    """
    collapsed = collapse(row)
    if collapsed:
        return [collapsed]
    if row.get("alpha", 1.0) < 1:
        return []
    rows = [*history, row]
    checkups = [one for one in rows if "samples/occupancy" in one and one.get("alpha", 1.0) == 1][-CHECKUPS:]
    found = [_gradients(row, history), _won(rows)]
    if len(checkups) == CHECKUPS:
        found += [_memorised(checkups), _pieces(checkups), _occupancy(checkups), _modes(checkups)]
    return [message for message in found if message]


def collapse(row: Row) -> str | None:
    """One sentence when the generator draws nothing, everything or always the same, else None."""
    occupancy = row["samples/occupancy_of_data"]
    if row["samples/empty"] == 1.0:
        return (
            f"Every sample is empty (the data's occupancy is {occupancy:.1%}): the discriminator has won or the"
            " threshold is too high; lower lr_d or raise gamma."
        )
    if row["samples/full"] == 1.0:
        return (
            f"Every sample is a full cube (the data's occupancy is {occupancy:.1%}): the generator has diverged;"
            " lower lr_g, and check the pictures of the prepared data."
        )
    if row["samples/diversity"] < ALIKE:
        return "All samples of a class are alike: the generator has collapsed; raise gamma, the batch, or lower lr_g."
    return None


def _gradients(row: Row, history: Sequence[Row]) -> str | None:
    for name, network, cure in (
        ("gradient_d", "discriminator", "lower lr_d or raise gamma"),
        ("gradient_g", "generator", "lower lr_g"),
    ):
        usual = [earlier[name] for earlier in history if name in earlier]
        if name in row and len(usual) >= RECENT and row[name] > EXPLODED * np.median(usual):
            times = row[name] / np.median(usual)
            return f"The {network}'s gradients are {times:.0f} times as long as usual: it is about to diverge; {cure}."
    return None


def _won(rows: Sequence[Row]) -> str | None:
    recent = [row for row in rows[-RECENT:] if "accuracy_real" in row and "accuracy_fake" in row]
    if len(recent) < RECENT or min(min(row["accuracy_real"], row["accuracy_fake"]) for row in recent) < WON:
        return None
    return (
        "The discriminator tells nearly all generated shapes from real ones, and the generator learns little from it;"
        " lower lr_d, raise gamma, or raise lr_g."
    )


def _memorised(checkups: Sequence[Row]) -> str | None:
    values = _values(checkups, "overfitting/r_v")
    if not len(values) or values.mean() < MEMORISED:
        return None
    return (
        "The discriminator scores held-out shapes more like generated than like training shapes (r_v is"
        f" {values.mean():.2f}; 0 is ideal): it learns the training shapes by heart; set mirror or ada_target, raise"
        " gamma, shorten stabilise, or prepare more shapes."
    )


def _pieces(checkups: Sequence[Row]) -> str | None:
    own, data = _values(checkups, "samples/largest_piece"), checkups[-1]["samples/largest_piece_of_data"]
    if (own >= data - BROKEN).any():
        return None
    return (
        f"Samples fall into pieces (the largest holds {own[-1]:.0%} of a shape, in the data {data:.0%}): the generator"
        " has not learned enough yet or swings; raise stabilise, the batch or ema, or lower lr_g."
    )


def _occupancy(checkups: Sequence[Row]) -> str | None:
    own, data = _values(checkups, "samples/occupancy"), checkups[-1]["samples/occupancy_of_data"]
    little, much = (own < data / FACTOR).all(), (own > data * FACTOR).all()
    if not little and not much:
        return None
    return (
        f"Samples occupy too {'little' if little else 'much'} ({own[-1]:.1%} of the grid, the data {data:.1%}): the"
        " generator swings or favours some shapes; lower lr_g, raise ema or gamma."
    )


def _modes(checkups: Sequence[Row]) -> str | None:
    special = ("coverage/all_classes", "coverage/real_shapes")
    names = [name for name in checkups[-1] if name.startswith("coverage/") and name not in special]
    if not names:
        return None
    covered = {name: _values(checkups, name).mean() for name in names}
    name, real = min(covered, key=lambda one: covered[one]), checkups[-1]["coverage/real_shapes"]
    if covered[name] >= COVERED * real:
        return None
    return (
        f"Samples of {name.removeprefix('coverage/')} resemble only {covered[name]:.0%} of the validation shapes (real"
        f" ones do {real:.0%}): the generator leaves kinds of shapes out; raise gamma, batch or width."
    )


def _values(checkups: Sequence[Row], name: str) -> np.ndarray:
    return np.array([row[name] for row in checkups if name in row])
