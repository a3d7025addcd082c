"""Which arrays of a file hold grids, and which hold their labels, by their names and headers."""

import math
from collections.abc import Mapping

import numpy as np

from gan3d.data.formats.axes import Axes, find_axes
from gan3d.data.formats.names import Name, parse_name
from gan3d.data.formats.readers import UnreadableFile

FIRST_KEYS = ("voxels", "voxels_packed", "X", "instance", "voxel", "grids")  # taken first, in this order

Header = tuple[tuple[int, ...], np.dtype]


def find_grid_keys(headers: Mapping[str, Header], names: Mapping[str, Name]) -> list[str]:
    """The arrays of grids: those that name a split, else the one with the most telling name, else the only candidate.

    Where the axes rule a usual name out, the next one is tried.
    """
    fitting = [key for key in headers if _fits(key, headers[key])]
    told = [key for key in fitting if names[key].role in ("grids", None) and names[key].split is not None]
    if told:
        best = min((names[key].role is None, names[key].tier) for key in told)
        chosen = [key for key in told if (names[key].role is None, names[key].tier) == best]
        by_split: dict[tuple, list[str]] = {}
        for key in chosen:
            by_split.setdefault((names[key].split, *names[key].rest), []).append(key)
        if len({key[1:] for key in by_split}) == 1:  # one family of arrays
            return sorted(chosen, key=lambda key: (names[key].split != "train", key))
    usual = [key for key in FIRST_KEYS if key in headers]
    if usual and (usual[0] in fitting or len(headers) == 1):
        return usual[:1]
    tiers = {key: names[key].tier for key in fitting if names[key].role == "grids" and not names[key].rest}
    best_keys = [key for key in tiers if tiers[key] == min(tiers.values())]
    if len(best_keys) == 1:
        return best_keys
    candidates = [key for key in fitting if names[key].role != "labels" and len(headers[key][0]) >= 3]
    if len(candidates) == 1:
        return candidates
    if len(headers) == 1:
        return list(headers)
    for key, (shape, dtype) in headers.items():  # say what is wrong with the array that was meant
        if names[key].role == "grids" and len(shape) >= 2 and key not in fitting:
            axes_of(key, (shape, dtype))
    raise UnreadableFile(
        f"It holds {_shown(headers)}, and none is recognised as grids.",
        "Rename the array of grids to `voxels`, with the shape (N, X, Y, Z), and its labels to `labels`.",
    )


def _shown(headers: Mapping[str, Header]) -> str:
    """The keys of a file with their shapes, for an error."""
    shown = ", ".join(f"{key} {shape}" for key, (shape, _) in list(headers.items())[:6])
    return (shown + (", …" if len(headers) > 6 else ""))[:160] or "nothing"


def _fits(key: str, header: Header) -> bool:
    """Whether an array may hold grids, by its header."""
    try:
        axes_of(key, header)
    except UnreadableFile:
        return False
    return True


def _is_packed(key: str) -> bool:
    return "packed" in key.lower()


def axes_of(key: str, header: Header, labels: int | None = None) -> Axes | None:
    """The axes of an array; None for packed bits."""
    shape, dtype = header
    if not _is_packed(key):
        return find_axes(shape, dtype, labels, key or "array", parse_name(key).role == "grids")
    if len(shape) != 2 or dtype != np.uint8 or 0 in shape:
        what = f"the shape {shape}" if dtype == np.uint8 else f"the type {dtype}"
        raise UnreadableFile(
            f"Its {key} has {what}.", "Store packed bits as uint8 (N, bytes), or an array `voxels` (N, X, Y, Z)."
        )
    return None


def count_of(key: str, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """The number of grids in an array."""
    axes = axes_of(key, (shape, dtype))
    return shape[0] if axes is None else axes.count


def find_label_key(key: str, headers: Mapping[str, Header], names: Mapping[str, Name], count: int) -> str | None:
    """The name of the labels of an array."""
    if count == 1 and len(headers) == 1:
        return None
    mine = [
        label
        for label, name in names.items()
        if name.role == "labels" and label != key and name.split == names[key].split and name.rest == names[key].rest
    ]
    order = ("y", "labels", "label")
    mine.sort(
        key=lambda label: (order.index(label) if label in order else len(order), -_could_label(headers[label], count))
    )
    fitting = [label for label in mine if _could_label(headers[label], count)]
    if fitting or mine:
        if not fitting and mine == ["classes"]:
            return None  # class names, of which there are fewer
        return (fitting or mine)[0]
    return None


def _could_label(header: Header, count: int) -> bool:
    shape, _ = header
    return 1 <= len(shape) <= 2 and count in (shape[0], math.prod(shape))
