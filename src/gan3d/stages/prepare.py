"""Stage `prepare`: from a source to a voxel data set."""

from pathlib import Path
from typing import Any

from gan3d.data.guard import Limits
from gan3d.data.prepare import prepare, resolve
from gan3d.params import Data
from gan3d.progress import bar


def run(
    data: Data, seed: int, out: Path, home: Path, workers: int | None = None, dask: str | None = None
) -> dict[str, Any]:
    """Prepare a source into `out`; returns the summary.

    Args:
        home: the folder that holds `synthetic/`, the embedded furniture, which is made when it is missing.
        workers: processes; None is one a core.
        dask: address of a Dask scheduler, instead of this machine.
    """
    with bar("prepare") as progress:
        return prepare(
            resolve(data.source, home),
            out,
            data.resolution,
            up=data.up,
            classes=None if data.classes == "all" else data.classes,
            validation=data.validation,
            test=data.test,
            workers=workers,
            progress=progress,
            seed=seed,
            handedness=data.handedness,
            fill=data.fill,
            table=data.labels,
            limits=Limits(data.seconds, data.memory),
            dask=dask,
        )


def describe(summary: dict[str, Any], out: Path) -> str:
    """What a person should know of a prepared data set, a line each."""
    lines = [
        f"{name}: " + ", ".join(f"{count} {split}" for split, count in counts.items())
        for name, counts in summary["counts"].items()
    ]
    left_out = {"empty": "dropped_empty", "duplicates": "duplicates", "unreadable": "rejected", "skipped": "skipped"}
    lines.append("left out: " + ", ".join(f"{summary[field]} {word}" for word, field in left_out.items()))
    if summary["rejected"]:
        lines.append(f"why they could not be read: {out / 'rejects.csv'}")
    lines.append("occupancy: " + ", ".join(f"{at} {share:.1%}" for at, share in summary["occupancy"].items()))
    return "\n".join(lines)
