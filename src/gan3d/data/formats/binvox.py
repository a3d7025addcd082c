"""The binvox format: a text header, then runs of equal voxels as pairs of bytes (value, count).

Format: https://www.patrickmin.com/binvox/binvox.html. On disk y runs fastest, then z, then x.
"""

from dataclasses import dataclass

import numpy as np

LIMIT = 2**27  # voxels of the largest grid that is read (512³): a header is not believed beyond it


@dataclass(frozen=True)
class Binvox:
    """A grid (X, Y, Z) of booleans and where it stood: world = voxel centre / side * scale + translate."""

    voxels: np.ndarray
    translate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0


def decode(content: bytes) -> Binvox:
    """Read the bytes of a binvox file.

    Raises:
        ValueError: for a header that is broken or larger than LIMIT, before memory is taken, and for runs that do not
            add up to the header's size.
    """
    if not content.startswith(b"#binvox"):
        raise ValueError("does not start with #binvox")
    fields: dict[str, list[str]] = {}
    position = 0
    while "data" not in fields:
        end = content.find(b"\n", position)
        if end < 0 or position > 4096:
            raise ValueError("has no data line in its header")
        key, *rest = content[position:end].decode("ascii", "replace").split() or [""]
        fields[key] = rest
        position = end + 1
    depth, height, width = _numbers(fields, "dim", 3, int)
    if min(depth, height, width) < 1 or depth * height * width > LIMIT:
        raise ValueError(f"claims {depth} x {height} x {width} voxels, outside 1 to {LIMIT}")
    runs = np.frombuffer(content, np.uint8, offset=position)
    values, counts = runs[0 : len(runs) // 2 * 2 : 2], runs[1::2]
    total = int(counts.sum(dtype=np.int64))
    if total != depth * height * width:
        raise ValueError(f"holds {total} voxels where its header claims {depth * height * width}")
    voxels = np.repeat(values > 0, counts).reshape(depth, height, width).transpose(0, 2, 1)
    translate = _numbers(fields, "translate", 3, float) if "translate" in fields else [0.0, 0.0, 0.0]
    scale = _numbers(fields, "scale", 1, float)[0] if "scale" in fields else 1.0
    return Binvox(np.ascontiguousarray(voxels), (translate[0], translate[1], translate[2]), scale)


def encode(grid: Binvox) -> bytes:
    """The bytes of a binvox file; `decode` gives the grid back."""
    depth, width, height = grid.voxels.shape
    flat = grid.voxels.transpose(0, 2, 1).ravel().astype(np.uint8)
    starts = np.flatnonzero(np.diff(flat, prepend=2))
    lengths = np.diff(starts, append=len(flat))
    pieces = -(-lengths // 255)  # a run is at most 255 long
    counts = np.full(pieces.sum(), 255, np.uint8)
    counts[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * 255
    runs = np.stack([np.repeat(flat[starts], pieces), counts], -1)
    translate = " ".join(repr(float(value)) for value in grid.translate)
    header = f"#binvox 1\ndim {depth} {height} {width}\ntranslate {translate}\nscale {float(grid.scale)!r}\ndata\n"
    return header.encode() + runs.tobytes()


def _numbers(fields: dict[str, list[str]], key: str, count: int, kind: type) -> list:
    try:
        numbers = [kind(value) for value in fields[key]]
    except (KeyError, ValueError):
        numbers = []
    if len(numbers) != count:
        raise ValueError(f"has no readable {key} line in its header")
    return numbers
