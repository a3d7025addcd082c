"""Pretrained generators by name: an index with hash, size, licence and place, and the ways to get one."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gan3d.errors import UserError
from gan3d.outputs import copy_file, new_folder

INDEX = "index.yaml"
Progress = Callable[[int, int], None]  # called with (bytes done, bytes in total)


class File(BaseModel):
    """One file of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Entry(BaseModel):
    """One model of the index.

    Attributes:
        shapes: what it generates.
        licence: on which terms.
        card: a page about it, beside the index.
        where: the files lie in the repository, at the index's address, or in a DVC remote.
        files: config.json and generator.npz.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shapes: str
    licence: str
    card: str
    where: Literal["repository", "address", "dvc"]
    files: dict[Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")], File]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


class Index(BaseModel):
    """pretrained/index.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str | None
    models: dict[Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")], Entry]


def read_index(folder: Path) -> Index:
    """The index of a folder.

    Raises:
        UserError: if it is missing or damaged.
    """
    path = folder / INDEX
    try:
        return Index.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: restore it from the repository.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())[:160]}): fix it.") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))} is wrong ({first['msg']}): fix it.") from None


def entry_of(name: str, folder: Path) -> Entry:
    """A model of the index.

    Raises:
        UserError: for an unknown name.
    """
    models = read_index(folder).models
    if name not in models:
        raise UserError(f"pretrained model {name!r} does not exist: choose one of {', '.join(models)}.")
    return models[name]


def get(name: str, folder: Path, progress: Progress | None = None) -> Path:
    """The folder of a pretrained model, FOLDER/<name>, downloaded if it is not there; every file is verified.

    An interrupted download resumes.

    Args:
        folder: of the index.
        progress: called during a download.

    Raises:
        UserError: for an unknown name, an address that does not answer, or a file with another hash.
    """
    entry, place = entry_of(name, folder), folder / name
    if all((place / file).is_file() for file in entry.files):
        verify(entry, place)
    elif entry.where == "address":
        _download(name, entry, folder, progress)
    elif entry.where == "dvc":
        _pull(name, folder)
        verify(entry, place)
    else:
        raise UserError(f"{place} is not complete: restore it with `git checkout -- {place}`.")
    return place


def verify(entry: Entry, place: Path) -> None:
    """Compare the size and hash of every file with the index.

    Raises:
        UserError: for the first that differs.
    """
    for name, expected in entry.files.items():
        path = place / name
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            raise UserError(f"{path} is missing: get the model again.") from None
        if path.stat().st_size != expected.size or digest != expected.sha256:
            raise UserError(f"{path} has the hash {digest[:16]}…, not that of the index: remove it, and get it again.")


def _download(name: str, entry: Entry, folder: Path, progress: Progress | None) -> None:
    from gan3d.data.sources import download

    address = read_index(folder).address
    if not address:
        raise UserError(f"{folder / INDEX} names no address, at which {name} would lie: set `address` there.")
    with new_folder(folder / name) as temporary:
        for file, expected in entry.files.items():
            fetched = download.fetch(f"{address.rstrip('/')}/{name}/{file}", None, expected.sha256, progress=progress)
            copy_file(fetched, temporary / file)
        verify(entry, temporary)


def _pull(name: str, folder: Path) -> None:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repository:
            repository.pull([str(folder / f"{name}.dvc")])
    except DvcException as error:
        raise UserError(
            f"{folder / name}.dvc cannot be pulled ({' '.join(str(error).split())[:160]}): check the DVC remote."
        ) from None


def register(name: str, folder: Path, project: Any) -> int:
    """Register a pretrained model under its own name; returns the number of its version.

    Raises:
        UserError: as `get`.
    """
    from filelock import FileLock

    from gan3d import model_file
    from gan3d.registry.log import Facts, log_candidate
    from gan3d.tracking.provenance import provenance_tags
    from gan3d.tracking.store import connect

    entry, place = entry_of(name, folder), get(name, folder)
    architecture, _, _ = model_file.read_config(place)
    data = {
        "source": f"pretrained model {name}; {entry.licence}",
        "counts": {each: {} for each in architecture.classes},
        "test_split": "not known",
    }
    tags = provenance_tags(project.work) | {"name": name, "licence": entry.licence, "pretrained": name}
    client = connect(project.mlruns)
    with FileLock(project.mlruns / ".register.lock"):
        return log_candidate(client, name, place, Facts(data, [], [], tags), mlruns=project.mlruns)
