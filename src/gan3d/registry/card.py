"""The model card: one Markdown page about a registered generator, made from what the pipeline knows of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from gan3d.dataset import UNCONDITIONAL
from gan3d.metrics import protocol

Fields = Mapping[str, Any]

SCORES = {  # name of a score: heading, digits
    "one_nna_cd": ("1-NNA-CD", 3),
    "cov_cd": ("COV-CD", 3),
    "mmd_cd_x1e3": ("MMD-CD × 10³", 3),
    "jsd": ("JSD", 4),
    "largest_piece_generated": ("largest piece", 3),
    "novelty_generated_x1e3": ("novelty × 10³", 3),
    "occupancy_generated": ("occupancy", 4),
}


def card(
    model: Fields, data: Fields, training: Sequence[Fields], scores: Sequence[Fields], versions: Mapping[str, str]
) -> str:
    """The whole page.

    Args:
        model: name, version, classes, resolution, latent, parameters, threshold, up.
        data: of `gan3d.registry.log.data_facts`: source, counts {class: {split: n}}, test_split.
        training: one row a stage; its keys become the columns.
        scores: rows of `gan3d.metrics.protocol.evaluate`, of any number of resolutions.
        versions: of the packages that the model needs, by name.
    """
    parts = [
        _what(model),
        _how(model),
        "## Scores\n\n" + _scores(scores),
        "## Data\n\n" + _data(data),
        "## Training\n\n" + (table(training) if training else "Not recorded."),
        _use(model),
        "## Versions\n\n" + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]
    return "\n\n".join(parts) + "\n"


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters: whole lines from the beginning, and a last line that says where the rest is."""
    if len(text) <= limit:
        return text
    end = "\n\n(The whole card is the artifact card.md of the version's run.)\n"
    kept = text[: limit - len(end)]
    return kept[: kept.rfind("\n")].rstrip() + end


def table(rows: Sequence[Fields]) -> str:
    """A Markdown table of rows; the columns are the keys of all rows in the order in which they appear."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns), *([_cell(row.get(name)) for name in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    """A value as it stands in a table; a bar would end the cell."""
    if value is None:
        return "–"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _what(model: Fields) -> str:
    classes, size = model["classes"], model["resolution"]
    kinds = " and ".join([", ".join(classes[:-1]), classes[-1]] if len(classes) > 1 else classes)
    kinds = "of any class, since it was trained without labels" if classes == [UNCONDITIONAL] else kinds
    return (
        f"# {model['name']}, version {model['version']}\n\n"
        f"A progressive generative adversarial network that draws voxel shapes of {size}³ ({kinds}) from a latent"
        f" vector of {model['latent']} numbers{' and a class' if len(classes) > 1 else ''}. The generator has"
        f" {model['parameters']:,} weights, averaged over training. A voxel is occupied above {model['threshold']:g};"
        f" the {model['up']} axis points up."
    )


def _how(model: Fields) -> str:
    return (
        "## Use\n\n```python\nimport mlflow, pandas\n"
        f'model = mlflow.pyfunc.load_model("models:/{model["name"]}/{model["version"]}")\n'
        f'voxels = model.predict(pandas.DataFrame([{{"class": "{model["classes"][0]}", "count": 16, "seed": 7}}]))\n'
        f"```\n\n`voxels` is uint8, (16, {', '.join([str(model['resolution'])] * 3)}); the same seed gives the same"
        ' shapes. `params={"threshold": …}` moves the threshold.'
    )


def _scores(rows: Sequence[Fields]) -> str:
    """Generated shapes beside real training shapes (the floor), both against the test shapes."""
    if not rows:
        return "Not scored."
    lines, notes = [], []
    for size in sorted({row["resolution"] for row in rows}):
        own = [dict(row) for row in rows if row["resolution"] == size and row["class"] != protocol.MEAN]
        for row in own + (protocol.mean_over_classes(own) if len({row["class"] for row in own}) > 1 else []):
            name = "generated" if row["kind"] == "generated" else "real (floor)"
            cells = {heading: _score(row, score, digits) for score, (heading, digits) in SCORES.items()}
            lines.append({"resolution": f"{size}³", "class": row["class"], "shapes": name} | cells)
            if "note" in row:
                notes.append(f"- {size}³, {row['class']}, {name}: {row['note']}.")
    text = (
        "1-NNA-CD is best at 0.5 and worst at 1; COV-CD is best high, MMD-CD and JSD low. The floor is what real"
        " training shapes reach against the same test shapes. ± is the standard deviation over draws.\n\n"
    )
    return text + table(lines) + ("\n\n" + "\n".join(notes) if notes else "")


def _score(row: Fields, name: str, digits: int) -> str | None:
    value, spread = row.get(name), row.get(f"{name}_std")
    if value is None:
        return None
    return f"{value:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def _data(data: Fields) -> str:
    counts = table([{"class": name, **splits} for name, splits in data["counts"].items()])
    return f"Source: {data['source']}. Fingerprint of the test split: `{data['test_split']}`.\n\n{counts}"


def _use(model: Fields) -> str:
    return (
        "## Intended use and limits\n\n"
        "For research, teaching and content sketches. The shapes resemble the training data and inherit its gaps and"
        f" biases; {_known(model['classes'])} At {model['resolution']}³ details below one"
        " voxel are lost, and pieces may float. Nothing guarantees that a shape is stable, safe to build, or unlike"
        " a training shape: compare the novelty above with its floor."
    )


def _known(classes: Sequence[str]) -> str:
    if list(classes) == [UNCONDITIONAL]:
        return "it has learned all classes of its data as one, and none can be asked for."
    return f"no class but {', '.join(classes)} is known."
