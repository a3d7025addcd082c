"""A trained model by its address, to sample from and to walk in."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gan3d.api.shapes import Shape, Shapes
from gan3d.backend_choice import choose_backend
from gan3d.errors import UserError
from gan3d.sampling.paths import PATHS, PathName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gan3d.api.inversion import Inverted
    from gan3d.inversion.directions import ClassDirections
    from gan3d.inversion.inverter import Inverter
    from gan3d.model_file import TrainedModel
    from gan3d.sampling.sampler import Sampler
    from gan3d.training.callback import Row

Point = Shape | np.ndarray | int  # a shape of a model, a latent vector (latent,), or a seed
RUN = re.compile(r"[0-9a-f]{32}")  # an MLflow run


class Model:
    """A trained generator. `gan3d.load` and `gan3d.train` make one.

    >>> model = gan3d.load("modelnet10-r32")
    >>> model
    Model modelnet10-r32: bathtub, bed, chair, desk, dresser, monitor, night_stand, sofa and 2 more at 32³
    >>> model.resolution, len(model.classes)
    (32, 10)

    Attributes:
        name: what it is called: its address, or its stage.
        trained: weights, architecture, threshold and up axis (`gan3d.TrainedModel`).
        history: rows logged in training, by `gan3d.train`; empty otherwise.
    """

    def __init__(
        self, trained: TrainedModel, name: str = "", history: list[Row] | None = None, encoders: Sequence[Path] = ()
    ):
        self.trained, self.name = trained, name
        self.history: list[Row] = history or []
        self._sampler: Sampler | None = None
        self._inverter: Inverter | None = None
        self._encoders = encoders

    @property
    def sampler(self) -> Sampler:
        """Samples from arrays of latents and labels (`gan3d.sampling.sampler`)."""
        if self._sampler is None:
            from gan3d.sampling.sampler import Sampler

            self._sampler = Sampler(self.trained)
        return self._sampler

    @property
    def inverter(self) -> Inverter:
        """Finds latents of shapes (`gan3d.inversion.inverter`), with the encoder that `gan3d encode` made, if any."""
        if self._inverter is None:
            from gan3d.inversion.encoder_file import open_encoder
            from gan3d.inversion.inverter import Inverter

            warn = logging.getLogger("gan3d").warning
            self._inverter = Inverter(self.sampler, open_encoder(self._encoders, self.trained, warn))
        return self._inverter

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels."""
        return self.trained.architecture.classes

    @property
    def resolution(self) -> int:
        """Voxels along an edge."""
        return self.trained.architecture.resolution

    @property
    def latent(self) -> int:
        """Length of a latent vector."""
        return self.trained.architecture.latent

    def sample(
        self,
        class_name: str | None = None,
        count: int | None = None,
        seed: int | None = None,
        truncation: float = 1.0,
        threshold: float | None = None,
        latents: np.ndarray | None = None,
    ) -> Shapes:
        """Sample shapes of a class; the same seed gives the same shapes, as in `gan3d sample`.

        >>> model = gan3d.load("modelnet10-r32")
        >>> chairs = model.sample("chair", 16, seed=7, truncation=0.8)
        >>> chairs.occupancy.shape, chairs.latents.shape
        ((16, 32, 32, 32), (16, 128))
        >>> bool((model.sample("chair", latents=chairs.latents[:2], truncation=0.8).voxels == chairs.voxels[:2]).all())
        True

        Args:
            class_name: optional where the model has one class.
            count: number of shapes; 1 by default.
            seed: of the latent vectors; 0 by default.
            truncation: from 1, full variety, to 0, the mean shape of the class.
            threshold: occupancy above which a voxel is occupied; by default the model's.
            latents: explicit vectors (count, latent), instead of a seed.

        Raises:
            gan3d.errors.UserError: for an unknown class or a number out of range.
        """
        from gan3d.sampling.requests import Request

        vectors = None if latents is None else np.atleast_2d(np.asarray(latents))
        source = "latents" if vectors is not None else f"seed {seed or 0}"
        return self._shapes(Request(class_name, count, seed, vectors), truncation, threshold, source)

    def interpolate(
        self,
        start: Point,
        end: Point,
        steps: int = 9,
        path: PathName = PATHS[0],
        class_name: str | None = None,
        truncation: float | None = None,
        threshold: float | None = None,
    ) -> Shapes:
        """Walk from one shape to another, ends included; `.save("walk.gif")` plays it.

        >>> model = gan3d.load("modelnet10-r32")
        >>> chairs = model.sample("chair", 6, seed=7)
        >>> walk = model.interpolate(chairs[0], chairs[5], steps=9, path="linear")
        >>> bool((walk[0].voxels == chairs[0].voxels).all()), len(walk)
        (True, 9)

        Args:
            start: a sampled shape, a latent vector (latent,), or a seed.
            end: likewise.
            steps: number of shapes, at least 2.
            path: slerp, on the sphere in even steps, or linear, on a straight line (`gan3d.sampling.paths`).
            class_name: of vectors and seeds; optional where the model has one class.
            truncation: by default that of the shapes, or 1.
            threshold: occupancy above which a voxel is occupied; by default the model's.

        Raises:
            gan3d.errors.UserError: for ends of two classes or truncations, another path, or a number out of range.
        """
        from gan3d.sampling.paths import walk
        from gan3d.sampling.requests import Request

        if steps < 2:
            raise UserError(f"steps {steps} is out of range: an interpolation has at least 2 shapes.")
        ends = [each for each in (start, end) if isinstance(each, Shape)]
        names = {each.name for each in ends} | ({class_name} if class_name is not None else set())
        if len(names) > 1:
            raise UserError(f"a walk stays in one class, but {' and '.join(sorted(names))} are given: choose one.")
        known = {each.truncation for each in ends} if truncation is None else {truncation}
        if len(known) > 1:
            raise UserError("the shapes were sampled with different truncations: give the walk's `truncation`.")
        vectors = walk(self._latent(start), self._latent(end), steps, path)
        request = Request(next(iter(names), None), vectors=vectors)
        shapes = self._shapes(request, next(iter(known), 1.0), threshold, path)
        return _with_origins(shapes, [f"{path} {i / (steps - 1):.2f}" for i in range(steps)])

    def invert(
        self, voxels: np.ndarray | str | Path, class_name: str | None = None, turn: bool | None = None
    ) -> Inverted:
        """Find the latent whose shape comes closest to given voxels, or to the mesh or grid of a file.

        >>> model = gan3d.load("modelnet10-r32")
        >>> mine = model.invert("chair.obj", "chair")  # doctest: +SKIP
        >>> model.vary(mine.shape, strength=0.3, count=8).save("like-mine.png")  # doctest: +SKIP

        Args:
            voxels: booleans (R, R, R), or a file of any format that `gan3d prepare` reads.
            class_name: None: the class that fits best.
            turn: whether the shape may be turned and placed first; by default only that of a file.

        Raises:
            gan3d.errors.UserError: for another resolution, an empty shape, an unknown class, or an unreadable file.
        """
        from gan3d.api.inversion import as_inverted

        origin = "array"
        if isinstance(voxels, str | Path):
            from gan3d.shape_io.one_shape import read_shape

            path = Path(voxels)
            origin, turn, voxels = path.name, turn is not False, read_shape(path, self.resolution)
        found = self.inverter.invert(np.asarray(voxels), class_name, bool(turn))
        return as_inverted(found, self.inverter, f"inverted {origin}")

    def vary(
        self, shape: Point, strength: float = 0.3, count: int = 8, seed: int = 0, class_name: str | None = None
    ) -> Shapes:
        """Shapes around one: their latents are turned from its latent toward random ones.

        Args:
            shape: a sampled or inverted shape, a latent vector (latent,), or a seed, with `class_name`.
            strength: from 0, the shape itself, to 1, shapes that have nothing in common with it.

        Raises:
            gan3d.errors.UserError: for an unknown class, or a strength or count out of range.
        """
        from gan3d.inversion.vectors import vary

        if count < 1:
            raise UserError(f"count {count} is out of range: request at least 1 shape.")
        name = shape.name if isinstance(shape, Shape) else class_name
        vectors = vary(self._latent(shape), strength, count, seed)
        return self.sample(name, latents=vectors)

    def combine(self, a: Point, b: Point, c: Point, class_name: str | None = None) -> Shape:
        """The shape of a - b + c, shapes, latents or seeds: what distinguishes c from b, applied to a.

        Args:
            class_name: by default that of `a`, if it is a shape.

        Raises:
            gan3d.errors.UserError: for an unknown class, or latents that cancel each other out.
        """
        from gan3d.inversion.vectors import combine

        name = a.name if isinstance(a, Shape) and class_name is None else class_name
        vector = combine([self._latent(a), self._latent(c)], [self._latent(b)])
        return self.sample(name, latents=vector[None])[0]

    def complete(
        self, voxels: np.ndarray, given: np.ndarray, class_name: str | None = None, count: int = 4, seed: int = 0
    ) -> Shapes:
        """Whole shapes around a part: what is given stays, the rest is drawn; the best match first.

        Args:
            voxels: booleans (R, R, R).
            given: booleans (R, R, R), true where the voxels are known, occupied or empty.
            class_name: None: the class that fits best.

        Raises:
            gan3d.errors.UserError: for another resolution, nothing given, or a count out of range.
        """
        from gan3d.api.inversion import as_shapes
        from gan3d.inversion.completion import complete

        done = complete(self.inverter, voxels, given, class_name, count, seed)
        origins = [f"completed, IoU {score:.2f} where given" for score in done.ious]
        return as_shapes(self.inverter, done.occupancy, done.latents, done.class_name, origins)

    def directions(self, class_name: str | None = None) -> ClassDirections:
        """The directions in which a class varies most, named by what they change (`gan3d.inversion.directions`).

        Raises:
            gan3d.errors.UserError: for an unknown class.
        """
        from gan3d.inversion.directions import find_directions

        return find_directions(self.sampler, self.sampler.label(class_name))

    def save(self, folder: str | Path) -> Path:
        """Write the model into a folder, from which `gan3d.load` and every command read it."""
        from gan3d import model_file

        model_file.save(Path(folder), self.trained)
        return Path(folder)

    def _latent(self, end: Point) -> np.ndarray:
        if isinstance(end, Shape):
            vector = end.latent
        elif isinstance(end, int | np.integer):
            from gan3d.sampling.latents import draw_latents

            vector = draw_latents(int(end), 1, self.latent)[0]
        else:
            vector = np.asarray(end, np.float32)
        if vector.shape != (self.latent,):
            raise UserError(
                f"a latent vector of shape {vector.shape} does not fit this model: give {self.latent} numbers, a seed,"
                " or a shape that it has sampled."
            )
        return vector

    def _shapes(self, request: Any, truncation: float, threshold: float | None, source: str) -> Shapes:
        from gan3d.sampling.requests import sample_shapes

        sampled = sample_shapes(self.sampler, [request], truncation, threshold)
        origins = tuple(f"{source} #{i}" for i in range(len(sampled.names)))
        return Shapes(
            sampled.occupancy,
            sampled.latents,
            tuple(sampled.names),
            origins,
            sampled.classes,
            sampled.threshold,
            sampled.up,
            float(truncation),
        )

    def __repr__(self) -> str:
        from gan3d.errors import short_list

        return f"Model{f' {self.name}' if self.name else ''}: {short_list(self.classes)} at {self.resolution}³"


def load(address: str | Path | Any, mlruns: str | Path | None = None) -> Model:
    """Load a trained model.

    >>> gan3d.load("modelnet10-chairs-r32").classes
    ('chair',)

    Args:
        address: a folder such as models/r16; a pretrained model's name (`gan3d pretrained list`); a registered version,
            such as models:/furniture@champion or models:/furniture/3; or an MLflow run, as runs:/ID, its ID alone, or
            the run itself.
        mlruns: the MLflow store; by default that of the project around the current folder, or MLFLOW_TRACKING_URI.

    Raises:
        gan3d.errors.UserError: when there is no such model.
    """
    choose_backend()
    from gan3d import model_file
    from gan3d.config.project import in_project
    from gan3d.registry.models import encoder_places, model_folder

    address = str(getattr(getattr(address, "info", None), "run_id", address))
    if RUN.fullmatch(address):
        address = f"runs:/{address}"
    if re.fullmatch(r"runs:/[^/]+/?", address):
        address = f"{address.rstrip('/')}/model"
    if mlruns is None and os.environ.get("MLFLOW_TRACKING_URI") and not in_project():
        from gan3d.data.sources.download import cache_folder

        mlruns = cache_folder() / "mlruns"  # of downloads alone
    folder = model_folder(address, None if mlruns is None else Path(mlruns))
    return Model(model_file.load(folder), address, encoders=encoder_places(folder))


def _with_origins(shapes: Shapes, origins: list[str]) -> Shapes:
    from dataclasses import replace

    return replace(shapes, origins=tuple(origins))
