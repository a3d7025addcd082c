"""One run for each `dvc repro` or `dvc exp run`, parent of the runs of its stages.

DVC runs every stage in a process of its own. What they share is DVC itself: its process, and in an experiment its name
and baseline. MLRUNS/experiments holds one record per experiment name or checkout, with the parent's id and what its
description says. An invocation that was interrupted goes on with its parent if it is repeated with the same parameters.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from filelock import FileLock

from gan3d.addresses import mask
from gan3d.outputs import write_text
from gan3d.tracking.entries import new_id
from gan3d.tracking.provenance import git

STAGE, NAME, BASELINE = "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"  # set by DVC
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh", "busybox")
LAST = "register"  # the stage after which an experiment is complete
IGNORED = ("logging", "tune", "name")  # parameters that change no result
MAX_CHANGES = 60  # characters of a run's name that tell what is changed


@dataclass
class Experiment:
    """What is known of one experiment.

    Attributes:
        path: of its record.
        id: local id of its run.
        title: name of its run.
        changed: parameters that differ from the commit's, as (old, new).
        known: what stages have told: `stages`, `scores`, `version` and so on.
    """

    path: Path
    id: str
    title: str
    changed: dict[str, tuple[Any, Any]]
    known: dict[str, Any] = field(default_factory=dict)

    def tell(self, **facts: Any) -> dict[str, Any]:
        """Add facts to the record; dictionaries are merged. Returns all that is known."""
        with FileLock(self.path.with_suffix(".lock")):
            record = _read(self.path)
            known = record.get("known", {})
            for name, value in facts.items():
                known[name] = known.get(name, {}) | value if isinstance(value, dict) else value
            write_text(self.path, json.dumps(record | {"known": known}, indent=2) + "\n")
        self.known = known
        return known


def find_experiment(mlruns: Path, work: Path, settings: Mapping[str, Any]) -> Experiment | None:
    """The experiment that this process is a stage of; None if it was not started by DVC.

    Args:
        mlruns: folder of the store.
        work: folder of the project, or of its temporary copy.
        settings: all parameters, as a tree.
    """
    process = dvc_process()
    if process is None:
        return None
    name, commit = os.environ.get(NAME, ""), os.environ.get(BASELINE) or git(work, "rev-parse", "HEAD")
    key = f"{name} {commit}" if name else str(work.resolve())
    path = mlruns / "experiments" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    changed = changes(baseline(work, commit), settings)
    content = hashlib.sha256(json.dumps([commit, relevant(settings)], default=str).encode()).hexdigest()
    with FileLock(path.with_suffix(".lock")):
        record = _read(path)
        complete = LAST in record.get("known", {}).get("stages", {})
        if record.get("content") != content or (complete and record.get("process") != process):
            record = {"id": new_id()}
        title = experiment_title(str(settings["name"]), name, changed, commit)
        record |= {"process": process, "content": content}
        write_text(path, json.dumps(record, indent=2) + "\n")
    return Experiment(path, record["id"], title, changed, record.get("known", {}))


def dvc_process() -> list[Any] | None:
    """Process id and start time of the DVC that runs this stage; None outside of DVC."""
    if not os.environ.get(STAGE):
        return None
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().parents():
            if process.name().lstrip("-") not in SHELLS:
                return [process.pid, round(process.create_time(), 2)]
    return None


def baseline(work: Path, commit: str) -> dict[str, Any]:
    """The parameters as they were committed; empty if they cannot be read."""
    prefix = git(work, "rev-parse", "--show-prefix")
    try:
        tree = yaml.safe_load(git(work, "show", f"{commit}:{prefix}params.yaml")) if commit else None
    except yaml.YAMLError:
        return {}
    return tree if isinstance(tree, dict) else {}


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Parameters with another value than before, as `r16.lr_g`: (old, new); none if nothing is known of before."""
    if not old:
        return {}
    before, now = dict(flatten(old)), dict(flatten(new))
    return {name: (before.get(name), now[name]) for name in relevant(new) if before.get(name) != now[name]}


def relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that determine results, by their path."""
    return {name: value for name, value in flatten(settings) if name.split(".")[0] not in IGNORED}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a tree by their path, without secrets; stages go by their own name, and lists are one value."""
    for name, value in tree.items():
        path = f"{prefix}{name}".removeprefix("train.stages.")
        if isinstance(value, Mapping):
            yield from flatten(value, f"{path}.")
        elif isinstance(value, list | tuple):
            yield path, list(value)
        else:
            yield path, mask(value, value) if isinstance(value, str) else value


def experiment_title(name: str, experiment: str, changed: Mapping[str, tuple[Any, Any]], commit: str) -> str:
    """The run's name: that of the parameters, and DVC's for the experiment; or else what is changed, or the commit."""
    if experiment:
        return f"{name} {experiment}"
    told = changed_text(changed)
    return f"{name} {told or commit[:7]}".strip()


def changed_text(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """The changes in a few words, as `r16.lr_g=0.003`."""
    text = " ".join(f"{name}={new}" for name, (_, new) in changed.items())
    if len(text) <= MAX_CHANGES:
        return text
    return f"{text[: MAX_CHANGES - 1].rstrip()}…"


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
