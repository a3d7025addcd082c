"""The embedded data set: parametric chairs and tables, written as meshes, one folder per class."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gan3d.errors import UserError
from gan3d.synthetic.chairs import chair
from gan3d.synthetic.parts import Parts
from gan3d.synthetic.tables import table

GENERATORS: dict[str, Callable[[np.random.Generator], Parts]] = {"chair": chair, "table": table}

STAMP = ".version"  # hash of the generator that wrote a folder; a data source ignores hidden files


def generate(class_name: str, index: int, seed: int = 0) -> Parts:
    """Generate shape `index` of a class, independently of all others."""
    return GENERATORS[class_name](np.random.default_rng([seed, list(GENERATORS).index(class_name), index]))


def write(folder: str | Path, chairs: int = 700, tables: int = 700, seed: int = 0, test: int = 120) -> None:
    """Write FOLDER/{chair,table}/{train,test}/NAME.obj; the last `test` shapes of a class are its test split.

    The same seed gives the same bytes. The folder is replaced atomically.

    Raises:
        UserError: when the folder holds anything else.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / STAMP).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds other files than the embedded furniture: name another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        whole = Path(scratch) / folder.name
        for class_name, count in (("chair", chairs), ("table", tables)):
            for split in ("train", "test"):
                (whole / class_name / split).mkdir(parents=True)
            for index in range(count):
                split = "train" if index < count - test else "test"
                generate(class_name, index, seed).write_obj(
                    whole / class_name / split / f"{class_name}_{index:04d}.obj"
                )
        (whole / STAMP).write_text(version(), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        whole.rename(folder)


def ensure(folder: str | Path) -> None:
    """Write the data set into FOLDER unless it is there already, from the same version of the generator."""
    stamp = Path(folder) / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != version():
        write(folder)


def version() -> str:
    """Hash of the generator's source."""
    sources = [Path(__file__).with_name(f"{name}.py") for name in ("chairs", "furniture", "parts", "tables")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
