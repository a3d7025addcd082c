"""Formats of generated shapes: one table for files on the command line, HTTP and MLflow.

A new format is one row here and, by its kind, a branch in `gan3d.shape_io.files` (files), `gan3d.shape_io.encoding`
(HTTP and MLflow) or `gan3d.shape_io.meshing` (meshes).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from gan3d.errors import UserError

Kind = Literal["array", "mesh", "picture", "page"]
Style = Literal["smooth", "blocks"]

STYLES: tuple[Style, ...] = get_args(Style)  # of meshes; the first is the default
MAX_VOXELS = 2**26  # per request, since all its shapes are in memory at once
ONNX, STUDIO = EXPORTS = (".onnx", ".html")  # files of `gan3d export`; a folder is a SavedModel
ARCHIVE = "application/zip"  # media type of several files in one body


@dataclass(frozen=True)
class Format:
    """One output format.

    Attributes:
        name: as `output` of a request names it.
        kind: what it holds.
        media_type: of HTTP.
        many: whether one file holds many shapes; otherwise each shape has its own.
        file: whether `gan3d sample --out` writes it, by extension.
        http: whether HTTP and MLflow offer it.
        printed: whether it may hold a body to print, in mm.
        max_shapes: per request over HTTP and MLflow; files have no limit.
    """

    name: str
    kind: Kind
    media_type: str
    many: bool = False
    file: bool = True
    http: bool = True
    printed: bool = False
    max_shapes: int = 64

    @property
    def extension(self) -> str:
        return {"grid": ".json", "bits": ".bin"}.get(self.name, f".{self.name}")


FORMATS = (
    Format("grid", "array", "application/json", many=True, file=False, max_shapes=1024),
    Format("bits", "array", "application/octet-stream", many=True, file=False, max_shapes=1024),
    Format("npy", "array", "application/octet-stream", many=True, http=False),
    Format("npz", "array", "application/zip", many=True, http=False),
    Format("binvox", "array", "application/octet-stream"),
    Format("stl", "mesh", "model/stl", printed=True),
    Format("3mf", "mesh", "model/3mf", printed=True),
    Format("obj", "mesh", "model/obj"),
    Format("ply", "mesh", "model/ply"),
    Format("glb", "mesh", "model/gltf-binary"),
    Format("png", "picture", "image/png", many=True),
    Format("html", "page", "text/html", many=True, http=False),
)
FILES = {each.extension: each for each in FORMATS if each.file}
OUTPUTS = {each.name: each for each in FORMATS if each.http}


def extensions(*kinds: Kind) -> tuple[str, ...]:
    """Extensions of the files of these kinds; of all files when no kind is named."""
    return tuple(extension for extension, each in FILES.items() if not kinds or each.kind in kinds)


def file_format(path: Path) -> Format:
    """The format of a file by its extension, in any case.

    Raises:
        UserError: for an extension that is not in the table.
    """
    try:
        return FILES[path.suffix.lower()]
    except KeyError:
        raise UserError(f"{path} cannot be written: give it one of the extensions {', '.join(FILES)}.") from None


def check_printed(wanted: Format) -> None:
    """Refuse a format that holds no bodies to print.

    Raises:
        UserError: if it is refused.
    """
    if not wanted.printed:
        names = " or ".join(each.extension for each in FORMATS if each.printed)
        raise UserError(f"{wanted.extension} holds no body to print: choose {names}, or leave printable out.")


def check_export(path: Path) -> None:
    """Refuse, before any work, to export to another extension, or to replace anything but an earlier export.

    Raises:
        UserError: if it is refused.
    """
    extension = path.suffix.lower()
    if extension in EXPORTS:
        in_the_way = path.is_dir()
    elif path.is_dir():
        in_the_way = any(path.iterdir()) and not (path / "saved_model.pb").is_file()
    else:
        in_the_way = path.exists()
    if in_the_way:
        raise UserError(f"{path} exists and is not an export: name a path that does not exist.")
    if extension[1:2].isalpha() and extension not in EXPORTS and not path.is_dir():  # .2 belongs to a version
        raise UserError(
            f"{path} ends as a file of another kind: name a file that ends in {' or '.join(EXPORTS)}, or a folder for a"
            " SavedModel."
        )


def output_format(name: str) -> Format:
    """The format that `output` of a request names.

    Raises:
        UserError: for a name that is not in the table.
    """
    try:
        return OUTPUTS[name]
    except KeyError:
        raise UserError(f"output {name[:40]!r} does not exist: choose one of {', '.join(OUTPUTS)}.") from None


def max_shapes(output: str, resolution: int) -> int:
    """The limit on shapes per request.

    Raises:
        UserError: for an output that does not exist.
    """
    return max(1, min(output_format(output).max_shapes, MAX_VOXELS // resolution**3))
