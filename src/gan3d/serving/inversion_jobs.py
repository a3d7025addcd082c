"""What inversion keeps of each served model: its inverter, directions and training shapes, made on first use."""

import logging
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.data.formats.extensions import GRIDS, MESHES, suffix
from gan3d.errors import UserError
from gan3d.inversion.directions import ClassDirections, find_directions
from gan3d.inversion.nearest import TrainingShapes, open_training_shapes
from gan3d.registry.models import encoder_places
from gan3d.serving.models import ServedModel
from gan3d.shape_io.one_shape import read_shape

log = logging.getLogger("gan3d.serving")


class NoGradientsError(Exception):
    """The engine cannot invert."""


class NoTrainingDataError(Exception):
    """The server has no training shapes of the model."""


@dataclass
class ModelTools:
    """The parts of one model that take time to make; all calls come from one thread at a time.

    Attributes:
        model: served.
        folder: finds that of the model's files, where its encoder may lie; may ask MLflow, so not in the event loop.
        data: a prepared data set, or None for the project's.
    """

    model: ServedModel
    folder: Callable[[], Path | None]
    data: Path | None
    _inverter: Any = None
    _directions: dict[int, ClassDirections] = field(default_factory=dict)
    _training: TrainingShapes | None = None
    _missing: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def inverter(self) -> Any:
        """The `gan3d.inversion.inverter.Inverter`.

        Raises:
            NoGradientsError: if the engine is not Keras.
        """
        if self.model.engine != "keras":
            raise NoGradientsError(
                f"this server draws with {self.model.engine}, which has no gradients: start it with --engine keras."
            )
        with self._lock:
            if self._inverter is None:
                from gan3d.inversion.encoder_file import open_encoder
                from gan3d.inversion.inverter import Inverter

                folder = self.folder()
                places = [] if folder is None else encoder_places(folder)
                encoder = open_encoder(places, self.model.sampler.model, log.warning)
                self._inverter = Inverter(self.model.sampler, encoder)
        return self._inverter

    def directions(self, label: int) -> ClassDirections:
        """The directions of a class."""
        with self._lock:
            if label not in self._directions:
                self._directions[label] = find_directions(self.model.sampler, label)
        return self._directions[label]

    def training(self) -> TrainingShapes:
        """The training shapes.

        Raises:
            NoTrainingDataError: if there are none that fit the model.
        """
        with self._lock:
            if self._training is None and not self._missing:
                try:
                    self._training = self._open_training()
                except UserError as error:
                    self._missing = str(error)
        if self._training is None:
            raise NoTrainingDataError(self._missing)
        return self._training

    def _open_training(self) -> TrainingShapes:
        if self.data is None:
            raise UserError("this server has no training shapes: start it with --data FOLDER, a prepared data set.")
        return open_training_shapes(self.data, self.model.sampler.model.architecture)


def read_upload(content: bytes, name: str, resolution: int) -> np.ndarray:
    """The shape of an uploaded file, booleans (R, R, R), read in the sandbox.

    Args:
        content: of the file.
        name: whose extension tells the format; nothing else of it is used.
        resolution: of the grid.

    Raises:
        UserError: for another format, a file that cannot be read, several shapes, and an empty one.
    """
    kind = suffix(name)
    if kind not in (*MESHES, *GRIDS):
        known = ", ".join((*MESHES, *GRIDS))
        raise UserError(f"filename {name[-40:]!r} has no extension of a shape: use one of {known}.")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"upload{kind}"
        path.write_bytes(content)
        try:
            return read_shape(path, resolution)
        except UserError as error:
            raise UserError(str(error).replace(str(path), "the file")) from None
