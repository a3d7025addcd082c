"""Shapes as a sequence: arrays for NumPy, meshes for files, and a turnable picture in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from gan3d.errors import UserError

if TYPE_CHECKING:
    import trimesh

    from gan3d.shape_io.formats import Style
    from gan3d.shape_io.print_settings import PrintSettings
    from gan3d.shape_io.printing import PrintedBody

SHOWN = 64  # shapes in a cell; more would make the notebook heavy


@dataclass(frozen=True, eq=False)
class Shapes(Sequence["Shape"]):
    """Shapes of one resolution, of one class or several.

    In a notebook they are shown side by side: drag to turn them, click to enlarge one. An index gives a `Shape`, a
    slice gives `Shapes`.

    >>> chairs = gan3d.load("modelnet10-r32").sample("chair", 3, seed=7)
    >>> chairs
    3 shapes at 32³: chair (seed 7)
    >>> chairs.voxels.shape, chairs.voxels.dtype
    ((3, 32, 32, 32), dtype('bool'))
    >>> chairs[1]
    chair at 32³ (seed 7 #1)

    Attributes:
        occupancy: float32 (n, R, R, R) from 0 to 1; of real shapes, 0 or 1.
        latents: float32 (n, latent), the vectors that the shapes were generated from; of real shapes, (n, 0).
        names: the class of each shape.
        origins: where each comes from, such as "seed 7 #0".
        classes: all classes of the model or data set, whose order sets the colours.
        threshold: occupancy above which a voxel is occupied.
        up: the axis that points up, x, y or z.
        truncation: that the shapes were sampled with.
    """

    occupancy: np.ndarray
    latents: np.ndarray
    names: tuple[str, ...]
    origins: tuple[str, ...]
    classes: tuple[str, ...]
    threshold: float = 0.5
    up: str = "y"
    truncation: float = 1.0

    @property
    def voxels(self) -> np.ndarray:
        """Booleans (n, R, R, R)."""
        return self.occupancy > self.threshold

    @property
    def resolution(self) -> int:
        """Voxels along an edge."""
        return self.occupancy.shape[-1]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Shape: ...
    @overload
    def __getitem__(self, index: slice) -> Shapes: ...
    def __getitem__(self, index: int | slice) -> Shape | Shapes:
        if isinstance(index, slice):
            return self._part(index)
        number = range(len(self))[index]  # raises IndexError, and takes -1
        return Shape(self._part(slice(number, number + 1)))

    def __add__(self, other: Shapes) -> Shapes:
        """Both, side by side; they need one resolution, threshold and up axis."""
        same = ("resolution", "threshold", "up", "truncation")
        differing = [name for name in same if getattr(self, name) != getattr(other, name)]
        if differing:
            mine, others = getattr(self, differing[0]), getattr(other, differing[0])
            raise UserError(f"shapes of {differing[0]} {mine} and {others} cannot be joined: show them one by one.")
        if self.latents.shape[1] != other.latents.shape[1]:
            raise UserError("shapes of different models cannot be joined: show them one by one.")
        return replace(
            self,
            occupancy=np.concatenate([self.occupancy, other.occupancy]),
            latents=np.concatenate([self.latents, other.latents]),
            names=self.names + other.names,
            origins=self.origins + other.origins,
            classes=tuple(dict.fromkeys([*self.classes, *other.classes])),
        )

    def _part(self, part: slice) -> Shapes:
        return replace(
            self,
            occupancy=self.occupancy[part],
            latents=self.latents[part],
            names=self.names[part],
            origins=self.origins[part],
        )

    def save(self, path: str | Path, style: Style = "smooth", printing: PrintSettings | None = None) -> list[Path]:
        """Write all shapes in the format of the path's extension; returns the files written.

        .gif plays them forth and back; .png is a sheet, .html a page on which they turn; .npy and .npz hold the voxels;
        of .stl, .obj, .ply, .glb and .binvox there is one file per shape.

        Args:
            path: of the file; a missing folder is created.
            style: of meshes, smooth or blocks.
            printing: writes bodies to print, as .stl or .3mf in mm, such as `gan3d.PrintSettings(size=120)`.

        Raises:
            UserError: for another extension, and for an empty shape that should become a mesh.
        """
        path = Path(path)
        if path.suffix.lower() == ".gif":
            from gan3d.rendering.sheets import animate, colors_of
            from gan3d.rendering.voxels import render

            colors = colors_of(self.names, self.classes)
            frames = [render(one, 256, self.up, color) for one, color in zip(self.voxels, colors, strict=True)]
            return [animate(path, frames, bounce=True)]
        from gan3d.shape_io.files import write_bodies, write_shapes

        if printing is not None:
            return [written for written, _ in write_bodies(path, self.voxels, printing, self.up, style)]
        return write_shapes(path, self.voxels, self.names, self.up, style, self.classes)

    def __repr__(self) -> str:
        sources = dict.fromkeys(origin.partition(" #")[0] for origin in self.origins)
        told = f" ({', '.join(sources)})" if len(sources) <= 3 else ""
        return f"{len(self)} shapes at {self.resolution}³: {', '.join(dict.fromkeys(self.names))}{told}"

    def _repr_html_(self) -> str:
        from gan3d.api.notebook import embed
        from gan3d.rendering.sheets import colors_of, sheet
        from gan3d.rendering.viewer import page

        shown = self[:SHOWN]
        more = f"; the first {SHOWN} are shown" if len(self) > SHOWN else ""
        colors: Any = colors_of(shown.names, self.classes)
        title = repr(self) + more if len(self) > 1 else repr(self[0]) if len(self) else "no shapes"
        if not len(shown):
            return title
        told = len({origin.partition(" #")[0] for origin in self.origins}) == 1  # in the title
        details = [origin[origin.index(" #") + 1 :] if told and " #" in origin else origin for origin in shown.origins]
        whole = page(shown.voxels, shown.names, title, up=self.up, colors=colors, details=details, embedded=True)
        picture = sheet(list(shown.voxels), min(8, len(shown)), size=112, up=self.up, colors=colors)
        return embed(whole, picture, len(shown))


class Shape:
    """One shape of `Shapes`.

    >>> chair = gan3d.load("modelnet10-r32").sample("chair", seed=7)[0]
    >>> chair.mesh().is_watertight
    True
    >>> chair.name, chair.latent.shape
    ('chair', (128,))
    """

    def __init__(self, only: Shapes):
        self._only = only

    @property
    def voxels(self) -> np.ndarray:
        """Booleans (R, R, R)."""
        return self._only.voxels[0]

    @property
    def occupancy(self) -> np.ndarray:
        """Float32 (R, R, R) from 0 to 1."""
        return self._only.occupancy[0]

    @property
    def latent(self) -> np.ndarray:
        """The vector that the shape was generated from, float32 (latent,)."""
        return self._only.latents[0]

    @property
    def name(self) -> str:
        """The class."""
        return self._only.names[0]

    @property
    def origin(self) -> str:
        """Where the shape comes from, such as "seed 7 #0"."""
        return self._only.origins[0]

    @property
    def truncation(self) -> float:
        """That the shape was sampled with."""
        return self._only.truncation

    def mesh(self, style: Style = "smooth") -> trimesh.Trimesh:
        """The surface as a `trimesh.Trimesh` in the unit cube, with the axes of the array.

        Args:
            style: smooth, with flat planes and crisp edges, or blocks, the faces of the voxels.

        Raises:
            UserError: if the shape is empty.
        """
        from gan3d.shape_io import meshing

        if style not in meshing.STYLES:
            raise UserError(f"style {style!r} does not exist: choose one of {', '.join(meshing.STYLES)}.")
        if not self.voxels.any():
            raise UserError(f"{self!r} is empty and has no mesh: choose another seed or threshold.")
        return meshing.smooth(self.voxels) if style == "smooth" else meshing.blocks(self.voxels)

    def body(self, printing: PrintSettings, style: Style = "smooth") -> PrintedBody:
        """One watertight piece to print, in mm, with what was done to make it and its thinnest wall.

        Args:
            printing: size, walls and base, such as `gan3d.PrintSettings(size=120, hollow=2)`.
            style: as of `mesh`.

        Raises:
            UserError: if the shape is empty, too thin at that size, or nowhere thick enough to be hollow.
        """
        from gan3d.shape_io.printing import printable

        return printable(self.voxels, printing, style, self._only.up, repr(self))

    def save(self, path: str | Path, style: Style = "smooth", printing: PrintSettings | None = None) -> Path:
        """Write the shape as `Shapes.save` does; a .gif shows it on a turntable. A .glb is turned to stand upright.

        Raises:
            UserError: as `Shapes.save`.
        """
        path = Path(path)
        if path.suffix.lower() == ".gif":
            from gan3d.rendering.sheets import animate, colors_of, turntable

            (color,) = colors_of(self._only.names, self._only.classes)
            return animate(path, turntable(self.voxels, up=self._only.up, color=color))
        return self._only.save(path, style, printing)[0]

    def __repr__(self) -> str:
        return f"{self.name} at {self._only.resolution}³ ({self.origin})"

    def _repr_html_(self) -> str:
        return self._only._repr_html_()
