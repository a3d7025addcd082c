"""Subjects from a project: what it holds now, what it held at a commit or in an experiment, and a model's folder."""

import csv
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from gan3d import model_file
from gan3d.comparison.subject import CURVES, Curve, Subject
from gan3d.config.project import Project
from gan3d.errors import UserError
from gan3d.outputs import write_bytes
from gan3d.tracking.provenance import git

IGNORED = ("logging", "tune")  # sections that change no result
Reader = Callable[[str], bytes | None]  # the content of a file of a project, by its path there

_folders: list[TemporaryDirectory] = []  # of models that were fetched, until the command ends


def folder_subject(folder: Path, project: Project) -> Subject:
    """A model's folder, or that of a project with what it holds now.

    Raises:
        UserError: if it is neither.
    """
    folder = folder.resolve()
    if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
        return _project_subject("workspace", partial(_read, folder), lambda stage: folder / "models" / stage, {})
    if folder.parent == project.work / "models":
        found = _project_subject(str(Path("models") / folder.name), partial(_read, project.work), lambda _: folder, {})
        if final_stage(found.params) == folder.name:
            return found
    model_file.read_config(folder)
    return Subject(folder.name, facts={"folder": str(folder)}, model=lambda: folder)


def revision_of(work: Path, name: str) -> str | None:
    """The commit that a name means: a branch, a tag, a commit, or DVC's name of an experiment."""
    listed = git(work, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").splitlines()
    experiments = {line.split()[0].rsplit("/", 1)[-1]: line.split()[1] for line in listed}
    return experiments.get(name) or git(work, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") or None


def revision_subject(name: str, revision: str, project: Project) -> Subject:
    """What a project held at a commit.

    Raises:
        UserError: if it was no project then.
    """
    try:
        subprocess.run(
            ["git", "-C", str(project.work), "cat-file", "-e", f"{revision}:./params.yaml"],
            check=True,
            capture_output=True,
        )
    except subprocess.CalledProcessError:
        raise UserError(f"{name} has no params.yaml: name a commit or an experiment of this project.") from None
    files = _RevisionFiles(project.work, revision)
    return _project_subject(name, files.read, files.model, {"commit": revision[:12]})


def _project_subject(name: str, read: Reader, model: Callable[[str], Path], facts: Mapping[str, str]) -> Subject:
    try:
        params = dict(flatten(yaml.safe_load(read("params.yaml") or b"{}")))
    except (ValueError, AttributeError, RecursionError, yaml.YAMLError):
        raise UserError(f"params.yaml of {name} is not valid YAML: fix it.") from None
    stages = dict.fromkeys(key.split(".")[2] for key in params if key.startswith("train.stages."))
    rows = _json(read, "evaluation/table.json", name, [])
    run = _json(read, f"runs/{final_stage(params)}.json", name, {}).get("run_id")
    return Subject(
        name,
        params={key: str(value) for key, value in params.items()},
        facts=dict(facts) | ({"run": run} if run else {}),
        rows=rows,
        curves={stage: _curves(read, stage) for stage in stages},
        model=partial(model, final_stage(params)),
    )


def _json(read: Reader, path: str, name: str, missing: Any) -> Any:
    """The content of a JSON file, of the type of `missing`, which stands for a file that is missing."""
    content = read(path)
    if not content:
        return missing
    try:
        tree = json.loads(content)
    except ValueError:
        tree = None
    if not isinstance(tree, type(missing)):
        raise UserError(f"{path} of {name} is damaged: run `dvc checkout`, or the stage again.")
    return tree


def final_stage(params: Mapping[str, Any]) -> str:
    """The stage of the highest resolution."""
    stages = {key.split(".")[2] for key in params if key.startswith("train.stages.")}
    return max(stages, key=lambda stage: int(stage.removeprefix("r")), default="")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters by their path, such as `train.stages.r16.lr_g`; a list is one value."""
    for name, value in tree.items():
        if not prefix and name in IGNORED:
            continue
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "" if value is None else value


def _curves(read: Reader, stage: str) -> dict[str, Curve]:
    found: dict[str, Curve] = {}
    for folder in ("curves", "health"):
        content = read(f"evaluation/{folder}/{stage}.csv")
        rows = list(csv.DictReader((content or b"").decode().splitlines()))
        for name in CURVES:
            known = [row for row in rows if row.get(name)]
            if known:
                found[name] = [float(row["images"]) for row in known], [float(row[name]) for row in known]
    return found


def _read(folder: Path, path: str) -> bytes | None:
    return (folder / path).read_bytes() if (folder / path).is_file() else None


class _RevisionFiles:
    """Files of a commit: from Git, or from DVC's cache or remote."""

    def __init__(self, work: Path, revision: str):
        self.work, self.revision = work, revision
        self.prefix = git(work, "rev-parse", "--show-prefix")

    @cached_property
    def files(self) -> Any:
        """DVC's view of the repository at the commit."""
        from dvc.api import DVCFileSystem  # takes a second, which a comparison of runs does not need

        return DVCFileSystem(git(self.work, "rev-parse", "--show-toplevel"), rev=self.revision)

    def read(self, path: str) -> bytes | None:
        """A file's content; None if it is in neither place."""
        try:
            return self.files.read_bytes(f"{self.prefix}{path}")
        except Exception:  # DVC raises whatever its remote does
            return None

    def model(self, stage: str) -> Path:
        """A folder with a stage's generator.

        Raises:
            UserError: if it is gone.
        """
        _folders.append(TemporaryDirectory(prefix="gan3d-compare-"))
        folder = Path(_folders[-1].name)
        for name in ("config.json", "generator.npz"):
            content = self.read(f"models/{stage}/{name}")
            if content is None:
                raise UserError(
                    f"models/{stage} of {self.revision[:12]} is neither in DVC's cache nor in a remote: get it with"
                    " `dvc fetch`, or reproduce it."
                )
            write_bytes(folder / name, content)
        return folder
