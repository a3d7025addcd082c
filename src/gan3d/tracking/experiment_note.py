"""The description of an experiment's run, in Markdown: what it is, changes, scores, stages, data, commit."""

from collections.abc import Mapping
from typing import Any

from gan3d.tracking.experiment import Experiment
from gan3d.tracking.links import run_link


def experiment_note(experiment: Experiment, tags: Mapping[str, str]) -> str:
    """Write the description; its first lines are those that MLflow shows before a click.

    Args:
        experiment: with all that its stages have told.
        tags: of the run: commit, experiment.
    """
    known = experiment.known
    parts = [known.get("what", ""), _scores(known), _stages(known), _changes(experiment), _origin(known, tags)]
    return "\n\n".join(part for part in parts if part)


def _scores(known: Mapping[str, Any]) -> str:
    """Rows of `scores`: name, value, value of real shapes, which values are better."""
    return " · ".join(f"{name} **{value}** (real {real})" for name, value, real, _ in known.get("scores", ()))


def _stages(known: Mapping[str, Any]) -> str:
    named = []
    for name, stage in known.get("stages", {}).items():
        made = "from the cache" if stage.get("cached") else stage.get("status", "").lower()
        named.append(f"{run_link(name, stage['run'])} {made}")
    return f"Stages: {', '.join(named)}." if named else ""


def _changes(experiment: Experiment) -> str:
    if not experiment.changed:
        return "Parameters as in the commit."
    rows = [f"| {name} | {_text(old)} | {_text(new)} |" for name, (old, new) in experiment.changed.items()]
    return "\n".join(["| changed | in the commit | here |", "|---|---|---|", *rows])


def _origin(known: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    commit = tags.get("git.commit", "")[:12]
    edited = ", with uncommitted edits" if tags.get("git.dirty") == "true" else ""
    sentences = [f"Data: {known['data']}." if "data" in known else "", f"Commit `{commit}`{edited}." if commit else ""]
    if name := tags.get("dvc.exp_name"):
        sentences.append(f"`dvc exp apply {name}` brings it into the workspace.")
    if version := known.get("version"):
        sentences.append(version)
    return " ".join(sentence for sentence in sentences if sentence)


def _text(value: Any) -> str:
    return "–" if value is None else str(value).replace("|", "\\|")
