"""The page that says what a prepared data set holds, what was left out, and why: one file, without any address."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan3d.data.pipeline.statistics import Statistics, find_outliers, measure, measure_mirror_axes
from gan3d.dataset import SPLITS, VoxelDataset
from gan3d.rendering import document
from gan3d.rendering.sheets import sheet
from gan3d.rendering.voxels import class_color
from gan3d.voxels import AXES

SHOWN = 8  # shapes in a row of pictures
CLASSES = 12  # rows of random shapes
LISTED = 200  # rejected files in the table; rejects.csv has them all


def path_for(folder: Path) -> Path:
    """Where the report of a data set lies: beside it, as `voxels-report.html`."""
    return folder.with_name(f"{folder.name}-report.html")


def write(folder: Path, path: Path | None = None) -> Path:
    """Write the report of the data set in FOLDER; equal data sets give equal bytes."""
    path = path or path_for(folder)
    data = VoxelDataset(folder)
    found = measure(data)
    parts = [
        _head(data),
        _counts(data, found),
        _pictures(data, found),
        _occupancy(data),
        _symmetry(data, found),
        _left_out(data),
    ]
    title = f"Data report: {', '.join(data.classes[:6])}{' …' if len(data.classes) > 6 else ''}"
    return document.write(path, title, parts)


def _head(data: VoxelDataset) -> str:
    summary = data.summary
    tiles = {
        "shapes": len(data),
        "classes": len(data.classes),
        "resolution": f"{summary['resolution']}³",
        "duplicates dropped": summary["duplicates"],
        "files rejected": summary["rejected"],
        "empty": summary["dropped_empty"],
    }
    words = (
        f"{document.text(data.up)} points up; the source is {document.text(summary.get('handedness', 'right'))}-handed."
        f" A voxel of a mesh is {document.text(summary['fill'])}. Towards lower resolutions,"
        f" {document.text(summary['reduction'])}."
    )
    shown = document.tiles([(name, value, "") for name, value in tiles.items()])
    return f'<p class="note">{words}</p>{shown}'


def _counts(data: VoxelDataset, found: Statistics) -> str:
    rows: list[Sequence[object]] = []
    for label, name in enumerate(data.classes):
        counts = data.summary["counts"][name]
        rows.append([name, *(counts[s] for s in SPLITS), sum(counts.values()), f"{found.connected_share(label):.0%}"])
    totals = [sum(data.summary["counts"][name][split] for name in data.classes) for split in SPLITS]
    rows.append(["all", *totals, sum(totals), f"{found.connected_share():.0%}"])
    note = ""
    across = data.summary.get("cross_split_duplicates", 0)
    if across:
        note = f"<p>Validation and test shapes that are also training shapes, as the source states them: {across}.</p>"
    return (
        "<h2>Shapes by class and split</h2>"
        + document.table(["class", *SPLITS, "all", "in one piece"], rows, True)
        + note
    )


def _pictures(data: VoxelDataset, found: Statistics) -> str:
    at = found.resolution
    rng = np.random.default_rng(0)
    shapes: list[np.ndarray] = []
    colors = []
    shown = list(range(len(data.classes)))[:CLASSES]
    for label in shown:
        members = found.rows[found.labels == label]
        chosen = rng.permutation(members)[:SHOWN]
        row = list(data.voxels(at, chosen))
        shapes += row + [np.zeros((at,) * 3, bool)] * (SHOWN - len(row))
        colors += [class_color(label)] * SHOWN
    titles = [document.shorten(data.classes[label]) for label in shown]
    random = sheet(shapes, SHOWN, titles=titles, size=140, up=data.up, colors=colors)
    strange = find_outliers(found, 2 * SHOWN, data.up)
    rows = np.array([row for row, _ in strange])
    captions = [f"{number}: {why}" for number, (_, why) in enumerate(strange, 1)]
    picture = sheet(
        list(data.voxels(at, rows)),
        SHOWN,
        captions=captions,
        size=155,
        up=data.up,
        colors=[class_color(int(data.labels[row])) for row in rows],
    )
    more = f" The first {CLASSES} of {len(data.classes)} classes." if len(data.classes) > CLASSES else ""
    sources = [
        [number, data.rows[row]["class"], data.rows[row]["source"]] for number, (row, _) in enumerate(strange, 1)
    ]
    names = document.table(["", "class", "file"], sources)
    return (
        f"<h2>Random shapes, at {at}³</h2><p class='note'>Drawn without choice.{more}</p>{document.image(random)}"
        "<h2>Strangest shapes</h2><p class='note'>Those that differ most from the middle of their class, with the"
        " property and how many times the usual deviation it is off. Look whether they are what you meant: a full cube,"
        f" a fallen chair, a lost leg.</p>{document.image(picture)}{names}"
    )


def _occupancy(data: VoxelDataset) -> str:
    shares = {at: share for at, share in data.summary["occupancy"].items() if share is not None}
    largest = max(shares.values(), default=1.0)
    rows = [
        [
            f"{int(at[1:])}³",
            f"{share:.1%}",
            document.Markup(f'<span class="bar" style="width:{300 * share / largest:.0f}px"></span>'),
        ]
        for at, share in shares.items()
    ]
    note = (
        "Mean share of occupied voxels of the training shapes. A coarse grid is fuller, for one occupied voxel makes"
        " the whole cell above it occupied: nothing thin is lost, and surfaces grow by less than a voxel."
    )
    return f"<h2>Occupancy at every resolution</h2><p class='note'>{note}</p>" + document.table(
        ["grid", "occupied", ""], rows
    )


def _symmetry(data: VoxelDataset, found: Statistics) -> str:
    axes = measure_mirror_axes(data)
    rows = [
        [name, *(f"{value:.2f}" for value in found.mean_symmetry(label)), axes[name]]
        for label, name in enumerate(data.classes)
    ]
    advice = "With <code>gan.mirror: measured</code> each class is flipped at random along its own axis, if it has one."
    note = (
        "Mean overlap (intersection over union) of a shape and its mirror image; 1.00 is perfect symmetry. A class has"
        " an axis when one half of its shapes, flipped along it, is on average like the other half."
    )
    table = document.table(["class", *(f"along {axis}" for axis in AXES), "its axis"], rows)
    return f"<h2>Mirror symmetry</h2><p class='note'>{note}</p>{table}<p>{advice}</p>"


def _left_out(data: VoxelDataset) -> str:
    rejects = _read(data.folder / "rejects.csv")
    files = _read(data.folder / "files.csv")
    reasons = Counter((row["reason"], row["advice"]) for row in rejects)
    parts = ["<h2>What was left out</h2>"]
    duplicates = [(row["file"], int(row["duplicates"])) for row in files if int(row["duplicates"])]
    if duplicates:
        duplicates.sort(key=lambda row: (-row[1], row[0]))
        note = (
            f"{data.summary['duplicates']} shapes equal another one of their class, voxel by voxel, and were dropped."
        )
        more = f" The first {SHOWN * 2} of {len(duplicates)} files:" if len(duplicates) > SHOWN * 2 else ""
        parts.append(f"<p>{note}{more}</p>" + document.table(["file", "duplicates"], duplicates[: SHOWN * 2]))
    if data.summary["skipped"]:
        parts.append(
            f"<p>{data.summary['skipped']} files are no shapes (texts, pictures, materials, hidden files).</p>"
        )
    if not rejects:
        parts.append("<p>Every other file could be read.</p>")
        return "".join(parts)
    rows = [[count, reason, advice] for (reason, advice), count in reasons.most_common(20)]
    parts.append(document.table(["files", "why they were rejected", "what to do"], rows))
    listed = [[row["file"], row["reason"], row["advice"]] for row in rejects[:LISTED]]
    more = f" (the first {LISTED} of {len(rejects)}; all are in rejects.csv)" if len(rejects) > LISTED else ""
    parts.append(f"<h2>Rejected files{more}</h2>" + document.table(["file", "reason", "advice"], listed))
    return "".join(parts)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
        return list(csv.DictReader(lines))
