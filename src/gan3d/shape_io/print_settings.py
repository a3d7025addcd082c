"""How a shape becomes a body to print: sizes, walls, base, and their limits."""

from dataclasses import dataclass

from gan3d.errors import UserError
from gan3d.voxels import AXES

THINNEST = 0.8  # mm: two lines of the usual nozzle of 0.4 mm; thinner walls are refused
SMALLEST, LARGEST = 1.0, 10_000.0  # mm, of a body
BASE = 2.0  # mm: the least thickness of a base


@dataclass(frozen=True)
class PrintSettings:
    """How a shape becomes a body.

    Attributes:
        size: of the longest edge of the body's bounding box, base included, in mm.
        up: the axis of the file that points up.
        hollow: thickness of the walls of a hollow body in mm; None for a solid one.
        base: whether the body stands on a plate, at least BASE thick.
        drop: loose pieces smaller than this share of the shape are left out; others are joined by a bridge.
    """

    size: float = 100.0
    up: str = "z"
    hollow: float | None = None
    base: bool = False
    drop: float = 0.0

    def check(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: one sentence that says what is wrong.
        """
        if not SMALLEST <= self.size <= LARGEST:
            raise UserError(f"size {self.size:g} mm is out of range: give {SMALLEST:g} to {LARGEST:g} mm.")
        if self.up not in AXES:
            raise UserError(f"up axis {self.up[:40]!r} does not exist: choose one of {', '.join(AXES)}.")
        if self.hollow is not None and not THINNEST <= self.hollow <= LARGEST:
            raise UserError(
                f"hollow {self.hollow:g} mm is out of range: give a wall of {THINNEST:g} to {LARGEST:g} mm."
            )
        if not 0 <= self.drop <= 1:
            raise UserError(f"drop {self.drop:g} is out of range: give a share of the shape from 0 to 1.")
