"""The hooks of the training loop: callback, monitor and validation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gan3d.model_file import TrainedModel

Row = dict[str, float]
Samples = tuple[np.ndarray, np.ndarray]  # booleans (n, R, R, R) and labels (n,)


class Callback:
    """Base class of trackers, progress bars and sample sheets: they watch a training and never change its result."""

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        """Training starts or resumes after `images` images.

        Args:
            rows: logged before; those of the checkpoint.
            record: what this callback returned when the checkpointed training started.

        Returns:
            What the next checkpoints keep for this callback; anything JSON can hold.
        """
        return record

    def on_log(self, row: Row) -> None:
        """A row was logged: means over the last chunk of steps, `images` seen, and diagnostics if they were due."""

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        """Samples of the fixed latents were drawn from the EMA generator: booleans (n, R, R, R), labels (n,)."""

    def on_warning(self, images: int, message: str) -> None:
        """Something went wrong; the message names the parameter to change."""


class Monitor(Protocol):
    """Samples the networks and looks at them (`gan3d.monitoring.monitor`); it changes no weight."""

    def sample(self, state: dict[str, Any], alpha: float) -> Samples:
        """Samples of the EMA generator for the fixed latents."""

    def diagnose(self, state: dict[str, Any], alpha: float, voxels: np.ndarray, labels: np.ndarray) -> Row:
        """Diagnostics by metric name."""

    def advise(self, row: Row, history: list[Row]) -> list[str]:
        """One sentence for each thing that has gone wrong."""


@dataclass(frozen=True)
class TrainingView:
    """What a validation may look at.

    Attributes:
        images: seen so far.
        row: to be logged, with `alpha` and, where samples were drawn, the diagnostics.
        samples: of the fixed latents; None where none were due.
        model: builds the trained model as it is now.
    """

    images: int
    row: Row
    samples: Samples | None
    model: Callable[[], TrainedModel]
