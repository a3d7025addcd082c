"""The page that says how good a generator is: scores with floors and intervals, and pictures that were not chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.dataset import VoxelDataset
from gan3d.metrics import protocol
from gan3d.metrics.intervals import WIDE
from gan3d.metrics.protocol import EXCESS, Assessment
from gan3d.rendering import charts, document
from gan3d.rendering.charts import Mark
from gan3d.rendering.document import Markup, shorten
from gan3d.rendering.sheets import sheet
from gan3d.rendering.voxels import class_color

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]

SHOWN = 8  # shapes a row of pictures
CLASSES = 12  # that are pictured
SIZE = 132
COLUMNS = {  # name of a score: heading, digits, and the name of the real shapes' where it is in the same row
    "one_nna_cd": ("1-NNA-CD", 3, None),
    "cov_cd": ("COV-CD", 3, None),
    "mmd_cd_x1e3": ("MMD-CD × 10³", 2, None),
    "jsd": ("JSD", 4, None),
    "largest_piece_generated": ("largest piece", 3, "largest_piece_reference"),
    "occupancy_generated": ("occupancy", 4, "occupancy_reference"),
    "novelty_generated_x1e3": ("novelty × 10³", 2, "novelty_reference_x1e3"),
    "copied_generated": ("copies", 3, "copied_reference"),
}

GLOSSARY = {
    "1-NNA-CD": (
        "Generated and real shapes are mixed, and each is asked which kind its nearest neighbour is. The share of right"
        " answers: 0.5 means that they cannot be told apart, 1 that they always can. The one number to look at."
    ),
    "COV-CD": "Share of real shapes that are the closest one of some generated shape: low when kinds are left out.",
    "MMD-CD": "Distance from a real shape to the closest generated one: low when every real shape has a likeness.",
    "JSD": "How differently the two sets fill the space on average; 0 is equal.",
    "largest piece": "Share of a shape's voxels in its largest connected piece; to match, not to exceed.",
    "occupancy": "Share of the grid that a shape fills.",
    "novelty": "Median distance to the closest training shape; far below that of held-out shapes means copying.",
    "copies": "Share of shapes that equal a training shape voxel by voxel.",
    "real (the floor)": (
        "Training shapes scored against the same test shapes: what a perfect generator would reach. In the last four"
        " columns, the test shapes themselves."
    ),
    "±": (
        "Half the width of a 95 % interval: over new generated shapes and new real ones. From random halves of the"
        " shapes, since a bootstrap with repeated shapes would make neighbours of a shape and its own copy."
    ),
    "distance": "Chamfer distance of surface voxels, squared, in a cube of edge 1.",
}


@dataclass(frozen=True)
class Findings:
    """What the page tells of.

    Attributes:
        name: of the model.
        scores: by stage, then class or "mean", then score; floors below "floor".
        final: the last stage's name; `assessed` is what the protocol found of it, class by class.
        walks: a row of shapes a class, from one latent to another.
        pictures: of each stage, random shapes beside real ones, uint8 (H, W, 3).
    """

    name: str
    scores: Scores
    final: str
    assessed: Sequence[Assessment]
    walks: Mapping[str, np.ndarray]
    pictures: Mapping[str, np.ndarray]


def write(path: Path, found: Findings, data: VoxelDataset) -> Path:
    """Write the page; equal findings give equal bytes."""
    parts = [
        _verdict(found),
        _scores(found),
        _samples(found, data),
        _copying(found, data),
        _measures(found),
        _walks(found, data),
        _stages(found),
        _glossary(),
    ]
    return document.write(path, f"{found.name} at {_side(found.final)}³: evaluation", parts)


def _verdict(found: Findings) -> str:
    own = _whole(found.scores[found.final])
    floor = own["floor"]
    tiles = [
        ("1-NNA-CD", _large(own, "one_nna_cd", 3), f"real {_plain(floor, 'one_nna_cd', 3)}; ideal 0.5"),
        ("above the floor", _large(own, EXCESS, 3), "of 1-NNA-CD"),
        ("COV-CD", _large(own, "cov_cd", 3), f"real {_plain(floor, 'cov_cd', 3)}"),
        ("MMD-CD × 10³", _large(own, "mmd_cd_x1e3", 2), f"real {_plain(floor, 'mmd_cd_x1e3', 2)}"),
        (
            "largest piece",
            _large(own, "largest_piece_generated", 3),
            f"real {_number(own, 'largest_piece_reference', 3)}",
        ),
        ("copies", _percent(own, "copied_generated"), f"held-out {_percent(own, 'copied_reference')}"),
    ]
    return document.tiles(tiles) + f"<p>{sentence(own)}</p>"


def sentence(own: Mapping[str, Any]) -> str:
    """What the scores of a class, or their means, say in words."""
    if own.get("one_nna_cd") is None or own.get(EXCESS) is None:
        return document.text(f"There are no scores: {own.get('note', 'too few shapes remain')}.")
    excess, error = own[EXCESS], WIDE * (own.get(f"{EXCESS}_se") or 0.0)
    words = (
        f"Its nearest neighbour betrays a shape in {own['one_nna_cd']:.0%} of all cases; for real training shapes it is"
        f" {own['floor']['one_nna_cd']:.0%}, and 50% would be pure chance. "
    )
    if excess <= error:
        words += "The difference is within what chance does with so many shapes: they cannot be told from real ones."
    else:
        words += f"The generated shapes can be told from real ones by {excess:.2f} ± {error:.2f} above the floor."
    copied, real = own.get("copied_generated"), own.get("copied_reference")
    if copied is not None and real is not None:
        word = "more" if copied > real + 0.02 else "no more"
        words += f" {copied:.0%} equal a training shape, {word} than of real held-out shapes ({real:.0%})."
    return document.text(words)


def _scores(found: Findings) -> str:
    classes = found.scores[found.final]
    marks = [
        Mark(
            shorten(name), row["one_nna_cd"], _half(row, "one_nna_cd"), floor["one_nna_cd"], _half(floor, "one_nna_cd")
        )
        for name, row in classes.items()
        for floor in (row["floor"],)
    ]
    known = [
        value - (error or 0)
        for mark in marks
        for value, error in ((mark.value, mark.error), (mark.real, mark.real_error))
        if value is not None
    ]
    low = min([0.4, *(np.floor(10 * value) / 10 for value in known)])
    chart = charts.intervals(marks, max(0.0, float(low)), 1.0, ideal=0.5, label="1-NNA-CD")
    row = next(iter(classes.values()))
    note = (
        f"Up to {row['generated']} generated shapes a class against as many test shapes, {row['draws']} draws. Drawn"
        " and scored by a fixed protocol: nothing was chosen. What the columns mean stands at the end."
    )
    return f"<h2>Scores</h2><p class=note>{note}</p>{chart}<div class=wide>{_table(classes)}</div>"


def _table(classes: Mapping[str, Mapping[str, Any]]) -> str:
    rows: list[list[object]] = []
    for name, own in classes.items():
        rows.append([name, "generated", *(_cell(own, score, digits) for score, (_, digits, _) in COLUMNS.items())])
        real = [
            _cell(own["floor"] if beside is None else own, beside or score, digits)
            for score, (_, digits, beside) in COLUMNS.items()
        ]
        rows.append(["", "real (the floor)", *real])
    head = ["class", "shapes", *(heading for heading, _, _ in COLUMNS.values())]
    notes = dict.fromkeys(own["note"] for own in classes.values() if "note" in own)
    table = document.table(head, rows, faint=range(1, len(rows), 2), numeric=range(2, len(head)))
    return table + "".join(f"<p class=note>{document.text(note)}.</p>" for note in notes)


def _samples(found: Findings, data: VoxelDataset) -> str:
    shapes, titles, colors = [], [], []
    for own in found.assessed[:CLASSES]:
        for kind, row in (("generated", own.generated), ("real", own.reference)):
            shapes += _row(row)
            titles.append(f"{shorten(own.name)}, {kind}")
            colors += [_color(data, own.name)] * SHOWN
    empty = sum(own.rows[0]["empty_generated"] for own in found.assessed)
    left_out = f" {empty} empty shapes were left out." if empty else ""
    note = f"The first {SHOWN} of the first draw above the first {SHOWN} test shapes of each class.{left_out}"
    picture = sheet(shapes, SHOWN, titles, size=SIZE, up=data.up, colors=colors)
    return f"<h2>Random shapes, beside real ones never trained on</h2><p class=note>{note}{_more(found)}</p>" + (
        document.image(picture, "random generated shapes above real ones")
    )


def _copying(found: Findings, data: VoxelDataset) -> str:
    """Samples above the training shapes that are closest to them: random ones, and the most suspicious."""
    parts = []
    for own in found.assessed[:CLASSES]:
        if own.neighbours is None:
            continue
        distances = own.measures["novelty"][0][: len(own.generated)]
        suspicious = np.argsort(distances, kind="stable")[:SHOWN]
        parts.append(f"<h3>{document.text(own.name)}</h3><div class=side>")
        for title, chosen in (("random", np.arange(min(SHOWN, len(distances)))), ("the closest", suspicious)):
            nearest = data.voxels(_side(found.final), own.neighbours[chosen])
            captions = [""] * SHOWN + [f"{1e3 * distances[i]:.1f}" for i in chosen]
            shapes = _row(own.generated[chosen]) + _row(nearest)
            color = _color(data, own.name)
            picture = document.image(sheet(shapes, SHOWN, None, captions, size=77, up=data.up, colors=color), title)
            parts.append(f"<figure><figcaption>{title}</figcaption>{picture}</figure>")
        parts.append("</div>")
    if not parts:
        return ""
    note = (
        "Generated shapes above the training shape that is closest to each, with the distance × 10³ (0.0 is a copy):"
        " the first ones of the draw, and those of the whole draw that are closest to any training shape."
    )
    histograms = []
    for own in found.assessed[:CLASSES]:
        if "novelty" in own.measures:
            generated, real = (1e3 * values for values in own.measures["novelty"])
            histograms.append(charts.histogram(generated, real, f"{shorten(own.name)}: novelty × 10³"))
    about = (
        "Distance to the closest training shape, of all generated shapes and of real held-out ones; dashed, the"
        " medians. A generator that copies has its mass left of the real shapes'."
    )
    return (
        f"<h2>Is it copying?</h2><p class=note>{note}</p>{''.join(parts)}"
        f"<p class=note>{about}</p><div class=side>{''.join(histograms)}</div>"
    )


def _measures(found: Findings) -> str:
    parts = []
    for own in found.assessed[:CLASSES]:
        filled, whole = own.measures["occupancy"], own.measures["largest_piece"]
        parts.append(charts.histogram(*filled, title=f"{shorten(own.name)}: occupancy", percent=True))
        parts.append(charts.histogram(*whole, title=f"{shorten(own.name)}: largest piece", high=1.0, percent=True))
    note = "Share of the grid that a shape occupies, and share of its voxels that hang together; dashed, the medians."
    return f"<h2>Occupancy and pieces</h2><p class=note>{note}</p><div class=side>{''.join(parts)}</div>"


def _walks(found: Findings, data: VoxelDataset) -> str:
    names = list(found.walks)[:CLASSES]
    shapes = [shape for name in names for shape in found.walks[name]]
    colors = [_color(data, name) for name in names for _ in found.walks[name]]
    columns = len(found.walks[names[0]])
    picture = sheet(shapes, columns, [shorten(name) for name in names], size=SIZE, up=data.up, colors=colors)
    note = "From one latent vector to another, the same two for all classes. Every step should be a whole shape."
    return f"<h2>Interpolations</h2><p class=note>{note}</p>" + document.image(picture, "interpolations")


def _stages(found: Findings) -> str:
    parts = ["<h2>Every resolution</h2>"]
    for stage, classes in found.scores.items():
        opened = " open" if stage == found.final and len(found.scores) == 1 else ""
        own = _whole(classes)
        summary = (
            f"{_side(stage)}³: 1-NNA-CD {_plain(own, 'one_nna_cd', 3)}, real {_plain(own['floor'], 'one_nna_cd', 3)}"
        )
        picture = document.image(found.pictures[stage], f"random shapes at {stage}") if stage in found.pictures else ""
        parts.append(
            f"<details{opened}><summary>{document.text(summary)}</summary>"
            f"<div class=wide>{_table(classes)}</div>{picture}</details>"
        )
    return "".join(parts)


def _glossary() -> str:
    terms = "".join(f"<dt>{document.text(k)}</dt><dd>{document.text(v)}</dd>" for k, v in GLOSSARY.items())
    return f"<h2>What the columns mean</h2><dl>{terms}</dl>"


def _whole(classes: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return classes[protocol.MEAN]


def _half(row: Mapping[str, Any], score: str) -> float | None:
    """Half the width of a score's 95 % interval."""
    error = row.get(f"{score}_se")
    return None if error is None else WIDE * error


def _number(row: Mapping[str, Any], score: str, digits: int) -> str:
    value = row.get(score)
    return "–" if value is None else f"{value:.{digits}f}"


def _plain(row: Mapping[str, Any], score: str, digits: int) -> str:
    half = _half(row, score)
    return _number(row, score, digits) + (
        f" ± {half:.{digits}f}" if half is not None and row.get(score) is not None else ""
    )


def _large(row: Mapping[str, Any], score: str, digits: int) -> Markup:
    """A score for a tile: the interval in small."""
    value, _, half = _plain(row, score, digits).partition(" ± ")
    return Markup(f"{value} <i>± {half}</i>" if half else value)


def _percent(row: Mapping[str, Any], score: str) -> str:
    value = row.get(score)
    return "–" if value is None else f"{value:.1%}"


def _cell(row: Mapping[str, Any], score: str, digits: int) -> Markup:
    half = _half(row, score)
    error = f" <small>± {half:.{digits}f}</small>" if half and row.get(score) is not None else ""
    return Markup(_number(row, score, digits) + error)


def _row(shapes: np.ndarray) -> list[np.ndarray]:
    """SHOWN shapes; empty ones fill a row that is too short."""
    shown = list(shapes[:SHOWN])
    return shown + [np.zeros(shapes.shape[1:], bool)] * (SHOWN - len(shown))


def _color(data: VoxelDataset, name: str) -> tuple[int, int, int]:
    return class_color(data.classes.index(name))


def _more(found: Findings) -> str:
    return f" The first {CLASSES} of {len(found.assessed)} classes." if len(found.assessed) > CLASSES else ""


def _side(stage: str) -> int:
    return int(stage[1:])
