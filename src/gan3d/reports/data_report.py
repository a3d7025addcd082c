"""The report on a prepared data set: its contents, what was left out, and why; one self-contained page."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.data.pipeline.statistics import Statistics, find_outliers, measure, measure_mirror_axes
from gan3d.dataset import SPLITS, VoxelDataset, resolution_key
from gan3d.rendering.document import Markup, shorten
from gan3d.rendering.pages import fill_template, save_page
from gan3d.rendering.sheets import sheet
from gan3d.rendering.voxels import class_color
from gan3d.voxels import AXES, RESOLUTIONS

SHAPES_PER_ROW = 8
MAX_CLASSES = 12  # rows of random shapes
MAX_REJECTS = 200  # rejected files in the table; rejects.csv has them all
MAX_DUPLICATES = 16


def path_for(folder: Path) -> Path:
    """The path of a data set's report: beside it, as `voxels-report.html`."""
    return folder.with_name(f"{folder.name}-report.html")


def write(folder: Path, path: Path | None = None) -> Path:
    """Write the report on the data set in FOLDER; equal data sets give equal bytes."""
    data = VoxelDataset(folder)
    statistics = measure(data)
    page = fill_template(
        "data_report",
        title=f"Data report: {', '.join(data.classes[:6])}{' …' if len(data.classes) > 6 else ''}",
        **_source(data),
        **_counts(data, statistics),
        **_pictures(data, statistics),
        occupancy=_occupancy(data),
        **_symmetry(data, statistics),
        **_left_out(data),
    )
    return save_page(path or path_for(folder), page)


def _source(data: VoxelDataset) -> dict[str, Any]:
    summary = data.summary
    totals = {
        "shapes": len(data),
        "classes": len(data.classes),
        "resolution": f"{summary['resolution']}³",
        "duplicates dropped": summary["duplicates"],
        "files rejected": summary["rejected"],
        "empty": summary["dropped_empty"],
    }
    return {
        "up": data.up,
        "handedness": summary.get("handedness", "right"),
        "fill": summary["fill"],
        "reduction": summary["reduction"],
        "totals": [(name, value, "") for name, value in totals.items()],
    }


def _counts(data: VoxelDataset, statistics: Statistics) -> dict[str, Any]:
    rows: list[Sequence[object]] = []
    for label, name in enumerate(data.classes):
        counts = data.summary["counts"][name]
        connected = f"{statistics.connected_share(label):.0%}"
        rows.append([name, *(counts[split] for split in SPLITS), sum(counts.values()), connected])
    totals = [sum(data.summary["counts"][name][split] for name in data.classes) for split in SPLITS]
    rows.append(["all", *totals, sum(totals), f"{statistics.connected_share():.0%}"])
    return {
        "counts_head": ["class", *SPLITS, "all", "connected"],
        "counts": rows,
        "cross_split_duplicates": data.summary.get("cross_split_duplicates", 0),
    }


def _pictures(data: VoxelDataset, statistics: Statistics) -> dict[str, Any]:
    resolution = statistics.resolution
    rng = np.random.default_rng(0)
    shapes: list[np.ndarray] = []
    colors = []
    shown = list(range(len(data.classes)))[:MAX_CLASSES]
    for label in shown:
        members = statistics.rows[statistics.labels == label]
        row = list(data.voxels(resolution, rng.permutation(members)[:SHAPES_PER_ROW]))
        shapes += row + [np.zeros((resolution,) * 3, bool)] * (SHAPES_PER_ROW - len(row))
        colors += [class_color(label)] * SHAPES_PER_ROW
    titles = [shorten(data.classes[label]) for label in shown]
    outliers = find_outliers(statistics, 2 * SHAPES_PER_ROW, data.up)
    rows = np.array([row for row, _ in outliers])
    return {
        "resolution": resolution,
        "shown_classes": MAX_CLASSES,
        "more_classes": len(data.classes) if len(data.classes) > MAX_CLASSES else 0,
        "random_shapes": sheet(shapes, SHAPES_PER_ROW, titles=titles, size=140, up=data.up, colors=colors),
        "outlier_shapes": sheet(
            list(data.voxels(resolution, rows)),
            SHAPES_PER_ROW,
            captions=[f"{number}: {why}" for number, (_, why) in enumerate(outliers, 1)],
            size=155,
            up=data.up,
            colors=[class_color(int(data.labels[row])) for row in rows],
        ),
        "outliers": [[number, data.rows[row]["class"], data.rows[row]["source"]] for number, row in enumerate(rows, 1)],
    }


def _occupancy(data: VoxelDataset) -> list[Sequence[object]]:
    stored = {side: data.summary["occupancy"].get(resolution_key(side)) for side in RESOLUTIONS}
    shares = {side: share for side, share in stored.items() if share is not None}
    largest = max(shares.values(), default=1.0)
    bar = Markup('<span class="bar" style="width:{:.0f}px"></span>')
    return [[f"{side}³", f"{share:.1%}", bar.format(300 * share / largest)] for side, share in shares.items()]


def _symmetry(data: VoxelDataset, statistics: Statistics) -> dict[str, Any]:
    axes = measure_mirror_axes(data)
    rows = [
        [name, *(f"{value:.2f}" for value in statistics.mean_symmetry(label)), axes[name]]
        for label, name in enumerate(data.classes)
    ]
    return {"symmetry_head": ["class", *(f"along {axis}" for axis in AXES), "mirror axis"], "symmetry": rows}


def _left_out(data: VoxelDataset) -> dict[str, Any]:
    rejects = _read_csv(data.folder / "rejects.csv")
    files = _read_csv(data.folder / "files.csv")
    duplicates = [(row["file"], int(row["duplicates"])) for row in files if int(row["duplicates"])]
    duplicates.sort(key=lambda row: (-row[1], row[0]))
    reasons = Counter((row["reason"], row["advice"]) for row in rejects)
    return {
        "duplicate_count": data.summary["duplicates"],
        "duplicate_files": len(duplicates),
        "duplicates": duplicates[:MAX_DUPLICATES],
        "skipped": data.summary["skipped"],
        "reasons": [[count, reason, advice] for (reason, advice), count in reasons.most_common(20)],
        "reject_count": len(rejects),
        "rejects": [[row["file"], row["reason"], row["advice"]] for row in rejects[:MAX_REJECTS]],
    }


def _read_csv(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
        return list(csv.DictReader(lines))
