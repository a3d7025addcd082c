"""Names of metrics in MLflow, which groups charts by what stands before the last slash and sorts the groups by name.

The order is: contact sheets, evaluation (scores), loss, monitoring (health of the training), progress; MLflow puts
`system` last.
"""

from collections.abc import Iterable, Mapping
from typing import Any

SHEETS = "contact sheet"  # pictures, before all metrics
SCORES, LOSSES, HEALTH, PROGRESS = "evaluation", "loss", "monitoring", "progress"
IMAGES = f"{PROGRESS}/images"  # the horizontal axis of charts
IMAGES_SEEN = f"{PROGRESS}/images_seen"  # by all stages of an experiment
VALIDATION = f"{SCORES}/validation/"
MAIN_SCORE = f"{SCORES}/excess"
RUN_SCORE = VALIDATION + "one_nna_cd"  # of a stage while it trains
LOSS = f"{LOSSES}/discriminator"  # in every logged row
DIGITS = 4  # significant ones, of what a batch of shapes tells

_NAMES = {
    "loss_d": LOSS,
    "loss_g": f"{LOSSES}/generator",
    "penalty": f"{LOSSES}/gradient_penalty",
    "alpha": f"{PROGRESS}/alpha",
    "images_per_second": f"{PROGRESS}/images_per_second",
    "validation/score": RUN_SCORE,
}
_ACCURACIES = "accuracy_real", "accuracy_fake"
CONSTANT = ("samples/largest_piece_of_data", "samples/occupancy_of_data", "coverage/real_shapes")  # of the data
EXPERIMENT = (f"{LOSSES}/", f"{SCORES}/")  # groups of which a stage also tells its experiment


def logged_name(name: str) -> str:
    """The name in MLflow of a value that the training calls `name`."""
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith("validation/"):
        return VALIDATION + name.removeprefix("validation/")
    return f"{HEALTH}/{name}"


class MetricRows:
    """Turns the rows of a training into those of MLflow."""

    def __init__(self) -> None:
        self.constant: set[str] = set()  # logged already

    def convert(self, row: Mapping[str, float]) -> dict[str, float]:
        """A row with names and digits of MLflow; what never changes, or equals another value, is in it once."""
        values = dict(row)
        images = values.pop("images")
        real, fake = (values.get(name) for name in _ACCURACIES)
        if real is not None and real == fake:  # of a loss that compares
            del values["accuracy_real"], values["accuracy_fake"]
            values["accuracy"] = real
        for name in CONSTANT:
            if name in values and name in self.constant:
                del values[name]
        self.constant |= set(CONSTANT) & set(values)
        named = {logged_name(name): float(f"{value:.{DIGITS}g}") for name, value in values.items()}
        return {"images": images, IMAGES: images, **dict(sorted(named.items()))}


def of_experiment(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The scores and losses of converted rows."""
    return [
        {name: value for name, value in row.items() if name in ("images", IMAGES) or name.startswith(EXPERIMENT)}
        for row in rows
    ]
