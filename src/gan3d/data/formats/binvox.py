"""The binvox format: a text header, then run-length encoded voxels as pairs of bytes (value, count).

Format: https://www.patrickmin.com/binvox/binvox.html. On disk y varies fastest, then z, then x.
"""

from dataclasses import dataclass

import numpy as np

MAX_VOXELS = 2**27  # of any grid that is read (512³), so that a header cannot ask for more memory


@dataclass(frozen=True)
class Binvox:
    """A boolean grid (X, Y, Z) and its position: world = voxel centre / side * scale + translate."""

    voxels: np.ndarray
    translate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0


def decode(content: bytes) -> Binvox:
    """Decode a binvox file.

    Raises:
        ValueError: if the header is broken or claims more than MAX_VOXELS, before memory is taken, or if the runs do
            not add up to the size in the header.
    """
    if not content.startswith(b"#binvox"):
        raise ValueError("it does not start with #binvox")
    fields: dict[str, list[str]] = {}
    position = 0
    while "data" not in fields:
        end = content.find(b"\n", position)
        if end < 0 or position > 4096:
            raise ValueError("its header has no data line")
        key, *rest = content[position:end].decode("ascii", "replace").split() or [""]
        fields[key] = rest
        position = end + 1
    depth, height, width = _parse_numbers(fields, "dim", 3, int)
    if min(depth, height, width) < 1 or depth * height * width > MAX_VOXELS:
        raise ValueError(f"its header claims {depth} x {height} x {width} voxels, outside 1 to {MAX_VOXELS}")
    runs = np.frombuffer(content, np.uint8, offset=position)
    values, counts = runs[0 : len(runs) // 2 * 2 : 2], runs[1::2]
    total = int(counts.sum(dtype=np.int64))
    if total != depth * height * width:
        raise ValueError(f"it holds {total} voxels, but its header claims {depth * height * width}")
    voxels = np.repeat(values > 0, counts).reshape(depth, height, width).transpose(0, 2, 1)
    translate = _parse_numbers(fields, "translate", 3, float) if "translate" in fields else [0.0, 0.0, 0.0]
    scale = _parse_numbers(fields, "scale", 1, float)[0] if "scale" in fields else 1.0
    return Binvox(np.ascontiguousarray(voxels), (translate[0], translate[1], translate[2]), scale)


def encode(grid: Binvox) -> bytes:
    """Encode a grid as a binvox file, the inverse of `decode`."""
    depth, width, height = grid.voxels.shape
    flat = grid.voxels.transpose(0, 2, 1).ravel().astype(np.uint8)
    starts = np.flatnonzero(np.diff(flat, prepend=2))
    lengths = np.diff(starts, append=len(flat))
    runs_per_stretch = -(-lengths // 255)  # the count of a run is one byte
    counts = np.full(runs_per_stretch.sum(), 255, np.uint8)
    counts[np.cumsum(runs_per_stretch) - 1] = lengths - (runs_per_stretch - 1) * 255
    runs = np.stack([np.repeat(flat[starts], runs_per_stretch), counts], -1)
    translate = " ".join(repr(float(value)) for value in grid.translate)
    header = f"#binvox 1\ndim {depth} {height} {width}\ntranslate {translate}\nscale {float(grid.scale)!r}\ndata\n"
    return header.encode() + runs.tobytes()


def _parse_numbers(fields: dict[str, list[str]], key: str, count: int, kind: type) -> list:
    try:
        numbers = [kind(value) for value in fields[key]]
    except (KeyError, ValueError):
        numbers = []
    if len(numbers) != count:
        raise ValueError(f"its header has no valid {key} line")
    return numbers
