"""How the trainings went: scores and losses over the images of all resolutions, one after the other."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.outputs import new_file
from gan3d.rendering import document, plots
from gan3d.rendering.plots import Series, smooth

Rows = Sequence[Mapping[str, Any]]

# files of DVC's plots: name -> what the training calls a value -> its column
FILES = {
    "training": {"loss_g": "generator", "loss_d": "discriminator"},
    "validation": {
        "validation/score": "one_nna_cd",
        "scores/train_p50": "training shapes",
        "scores/validation_p50": "held-out shapes",
        "scores/generated_p50": "generated shapes",
    },
}
PLOTS = {  # title -> file, and its columns; as in dvc.yaml
    "1-NNA-CD on validation shapes: 0.5 is best": ("validation", ("one_nna_cd",)),
    "Losses": ("training", ("generator", "discriminator")),
    "Median scores by the discriminator: those of held-out shapes fall if it memorises": (
        "validation",
        ("training shapes", "held-out shapes", "generated shapes"),
    ),
}


def read_progress(stages: Mapping[str, Sequence[Path]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each file of FILES: `images` of all resolutions so far, `resolution`, and the columns.

    Args:
        stages: the files of logged rows of each resolution, in the order of training; missing ones are left out.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in FILES}
    before = 0.0
    for stage, paths in stages.items():
        last = 0.0
        for rows in map(_read, paths):
            for row in rows:
                last = max(last, float(row["images"]))
                for name, columns in FILES.items():
                    values = {column: float(row[key]) for key, column in columns.items() if row.get(key)}
                    if values:
                        head = {"images": round(before + float(row["images"])), "resolution": stage}
                        found[name].append(head | {column: values.get(column, "") for column in columns.values()})
        before += last
    return found


def write_progress(folder: Path, progress: Mapping[str, Rows]) -> None:
    """Write one CSV per file of FILES, for `dvc plots`."""
    for name, columns in FILES.items():
        with new_file(folder / f"{name}.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, ["images", "resolution", *columns.values()], lineterminator="\n")
            writer.writeheader()
            writer.writerows(progress[name])


def progress_section(progress: Mapping[str, Rows]) -> str:
    """The same plots for a page; empty if nothing is known of the trainings."""
    drawn = []
    for title, (name, columns) in PLOTS.items():
        series = []
        for number, column in enumerate(columns):
            known = [row for row in progress[name] if row[column] != ""]
            images, values = [row["images"] for row in known], [row[column] for row in known]
            if len(values) > 40:
                series.append(Series(column, images, values, number, faint=True))
                values = list(smooth(np.array(values), 0.06))
            series.append(Series(column, images, values, number))
        if any(len(each.x) for each in series):
            legend = document.legend(columns) if len(columns) > 1 else ""
            plot = plots.plot(series, title.split(":")[0], "images of all resolutions")
            drawn.append(f"<figure>{plot}<figcaption>{legend}</figcaption></figure>")
    if not drawn:
        return ""
    note = "The resolutions follow each other. Thin lines are single values, thick ones moving averages."
    return f"<h2>Training</h2><p class=note>{note}</p><div class=charts>{''.join(drawn)}</div>"


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
