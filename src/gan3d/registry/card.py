"""The model card: one Markdown page about a registered generator."""

from collections.abc import Mapping, Sequence
from typing import Any

from gan3d.dataset import UNCONDITIONAL
from gan3d.errors import short_list
from gan3d.metrics.protocol import mean_over_classes
from gan3d.metrics.rows import (
    MEAN,
    ClassScores,
    class_scores,
    for_tables,
    most_telling,
    resolutions,
    select,
    without_mean,
)
from gan3d.metrics.table import BY_KEY, SCORES, WITH_REFERENCE, Score, grouped
from gan3d.metrics.tell import telling_words

Fields = Mapping[str, Any]
LISTED, SHORT = 48, 6  # classes in a sentence or a table, of the card and in short
MAIN = tuple(BY_KEY[key] for key in ("excess", "one_nna_cd", "tell_structure", "tell_patterns"))


def card(
    model: Fields, data: Fields, training: Sequence[Fields], scores: Sequence[Fields], versions: Mapping[str, str]
) -> str:
    """Write the page.

    Args:
        model: name, version, classes, resolution, latent, parameters, threshold, up.
        data: of `gan3d.registry.log.data_facts`: source, counts {class: {split: n}}, test_split.
        training: one row per stage, whose keys become the columns.
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


def short_card(model: Fields, data: Fields, scores: Sequence[Fields]) -> str:
    """The page in short, for the description of a version: what it is, how good, how to use it, and where the rest is.

    Args:
        model: as `card` takes it.
        data: likewise.
        scores: likewise.
    """
    return "\n\n".join(
        [
            _what(model, SHORT),
            _main_scores(scores, model["resolution"]),
            _how(model),
            f"Trained on {sum(splits.get('train', 0) for splits in data['counts'].values()):,} shapes of"
            f" {data['source'][:500]}. All scores, data, training and limits are in the artifact card.md of the source"
            " run.\n",
        ]
    )


def _main_scores(rows: Sequence[Fields], size: int) -> str:
    """A table of the scores that a version shows, of the classes that are told most easily and the mean."""
    of_classes = without_mean(select(rows, resolution=size))
    if not of_classes:
        return "Not scored."
    several = len({row["class"] for row in of_classes}) > 1
    chosen = most_telling(class_scores(of_classes + (mean_over_classes(of_classes) if several else []), size), SHORT)
    lines = [
        {"class": scores.name[:80]} | {score.heading: _plain(score, scores) for score in MAIN} for scores in chosen
    ]
    notes = [f"{each.name[:80]}: {each.generated['note'][:300]}." for each in chosen if "note" in each.generated]
    return "\n\n".join(
        ["Generated / real shapes; the excess is best at 0, the others where both agree.", table(lines), *notes]
    )


def table(rows: Sequence[Fields]) -> str:
    """A Markdown table; the columns are the keys of all rows, in order of appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns), *([_cell(row.get(name)) for name in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any) -> str:
    """A value as the text of a cell, which a bar would end."""
    if value is None:
        return "–"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _what(model: Fields, listed: int = LISTED) -> str:
    classes, size = model["classes"], model["resolution"]
    kinds = " and ".join([", ".join(classes[:-1]), classes[-1]] if len(classes) > 1 else classes)
    kinds = f"{len(classes):,} classes: {short_list(classes, listed)}" if len(classes) > listed else kinds
    kinds = "of any class, since it was trained without labels" if classes == [UNCONDITIONAL] else kinds
    return (
        f"# {model['name']}, version {model['version']}\n\n"
        f"A progressive generative adversarial network that generates voxel shapes of {size}³ ({kinds}) from a latent"
        f" vector of {model['latent']} numbers{' and a class' if len(classes) > 1 else ''}. The generator has"
        f" {model['parameters']:,} weights, a moving average over training. A voxel is occupied above"
        f" {model['threshold']:g}; the {model['up']} axis points up."
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
    """Scores of the generated shapes, each row above that of real shapes."""
    if not rows:
        return "Not scored."
    lines: dict[str, list[Fields]] = {group: [] for group in grouped()}
    told: list[str] = []
    notes = []
    for size in sorted(resolutions(rows)):
        of_classes = without_mean(select(rows, resolution=size))
        several = len({row["class"] for row in of_classes}) > 1
        all_scores = class_scores(of_classes + (mean_over_classes(of_classes) if several else []), size)
        if len(all_scores) > LISTED + 1:
            notes.append(f"- {size}³: the {LISTED} of {len(all_scores) - 1:,} classes with the worst 1-NNA-CD.")
        chosen, rest = for_tables(all_scores, LISTED)
        everywhere = {scores.name for scores in rest}
        for scores in chosen:
            head: dict[str, Any] = {"resolution": f"{size}³", "class": scores.name}
            for number, (group, columns) in enumerate(grouped().items()):
                if number and scores.name not in everywhere:
                    continue
                generated = {score.heading: _generated(score, scores) for score in columns}
                lines[group].append(head | {"shapes": "generated"} | generated)
                lines[group].append(
                    head | {"shapes": "real"} | {score.heading: _real(score, scores) for score in columns}
                )
            if scores.name in everywhere - {MEAN} and (words := telling_words(scores.generated)):
                told.append(f"- {size}³, {scores.name}: {'; '.join(words)}.")
            for row in (scores.generated, scores.floor):
                if "note" in row:
                    notes.append(f"- {size}³, {scores.name}, {row['kind']}: {row['note']}.")
    better = ", ".join(f"{score.heading} {score.better}" for score in SCORES if not score.reference)
    text = (
        "Look at the excess first: how much more easily than real shapes generated ones are told, by 1-NNA-CD and two"
        f" classifiers. Better values: {better}; {WITH_REFERENCE} should match the real shapes. The rows of real shapes"
        " are training shapes scored against the same test shapes (the floor), and for the last-named scores the test"
        " shapes themselves. ± is the standard deviation over draws.\n\n"
    )
    tables = "\n\n".join(f"**{group[0].upper()}{group[1:]}**\n\n{table(rows)}" for group, rows in lines.items())
    given_away = ["What gives generated shapes away, and how well it alone tells (0.5 nothing, 1 always):", *told]
    ends = ["\n".join(given_away)] if told else []
    return "\n\n".join([text + tables, *ends, *(["\n".join(notes)] if notes else [])])


def _generated(score: Score, scores: ClassScores) -> str | None:
    return _score(score, scores.generated.get(score.key), scores.generated.get(f"{score.key}_std"))


def _real(score: Score, scores: ClassScores) -> str | None:
    return _score(score, *score.real(scores.generated, scores.floor, "std"))


def _score(score: Score, value: float | None, deviation: float | None) -> str | None:
    if value is None:
        return None
    return score.text(value) + ("" if deviation is None else f" ± {score.text(deviation)}")


def _plain(score: Score, scores: ClassScores) -> str:
    """A value of generated and of real shapes, without deviations."""
    real, _ = score.real(scores.generated, scores.floor)
    text = score.text(scores.generated.get(score.key))
    return text if real is None else f"{text} / {score.text(real)}"


def _data(data: Fields) -> str:
    listed = list(data["counts"].items())
    rows = [{"class": name, **splits} for name, splits in listed[:LISTED]]
    if len(listed) > LISTED:
        rest = {split: sum(splits[split] for _, splits in listed[LISTED:]) for split in listed[0][1]}
        rows.append({"class": f"{len(listed) - LISTED:,} more classes", **rest})
    counts = table(rows)
    return f"Source: {data['source']}. Fingerprint of the test split: `{data['test_split']}`.\n\n{counts}"


def _use(model: Fields) -> str:
    return (
        "## Intended use and limits\n\n"
        "For research, teaching and content sketches. The shapes resemble the training data and inherit its gaps and"
        f" biases. {_known(model['classes'])} At {model['resolution']}³, details below one voxel are lost, and parts"
        " may float. No shape is guaranteed to be stable, safe to build, or different from the training shapes: compare"
        " the novelty above with that of real shapes in the evaluation report."
    )


def _known(classes: Sequence[str]) -> str:
    if list(classes) == [UNCONDITIONAL]:
        return "It was trained without labels, so no class can be chosen."
    return f"It knows no class but {short_list(classes, LISTED)}."
