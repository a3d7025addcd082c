"""Files of shapes that a command writes: shapes as they are, or bodies to print."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gan3d.shape_io.formats import STYLES, check_printed, file_format

if TYPE_CHECKING:
    import numpy as np

    from gan3d.shape_io.print_settings import PrintSettings

style_option = click.option(
    "--style", type=click.Choice(STYLES), default=STYLES[0], show_default=True, help="Surface of meshes."
)


def check_files(outs: Sequence[Path], settings: "PrintSettings | None") -> None:
    """Refuse, before any work, files that cannot be written or printed; raises UserError."""
    from gan3d.shape_io.files import check_output

    for out in outs:
        check_output(out)
        if settings:
            check_printed(file_format(out))


def write_files(
    outs: Sequence[Path],
    settings: "PrintSettings | None",
    voxels: "np.ndarray",
    names: Sequence[str],
    up: str,
    style: Any,
    classes: Sequence[str],
) -> None:
    """Write shapes (n, R, R, R) into every file, with settings as bodies to print, and print the names of the files.

    The other arguments are those of `gan3d.shape_io.files.write_shapes`.
    """
    from gan3d.shape_io.files import write_bodies, write_shapes

    for out in outs:
        if settings is None:
            for path in write_shapes(out, voxels, names, up, style, classes):
                click.echo(path)
        else:
            for path, body in write_bodies(out, voxels, settings, up, style):
                click.echo(path)
                click.echo(f"{path.name}: {body.describe()}", err=True)
