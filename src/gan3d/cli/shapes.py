"""Sample and interpolate with a trained model, and show any shape."""

from pathlib import Path
from typing import Any

import click

from gan3d.cli.printing_options import print_settings, printing_options
from gan3d.cli.setup import class_option, model_option, open_sampler, outs_option, path_option
from gan3d.errors import UserError
from gan3d.outputs import check_place
from gan3d.sampling.paths import PATHS
from gan3d.shape_io.formats import FILES, STYLES, check_printed, extensions, file_format

truncation_option = click.option(
    "--truncation",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="From 1, full variety, to 0, the mean shape of the class.",
)
threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Occupancy above which a voxel is occupied; default: the model's threshold.",
)
style_option = click.option(
    "--style", type=click.Choice(STYLES), default=STYLES[0], show_default=True, help="Surface of meshes."
)


@click.command()
@model_option
@class_option
@click.option("--count", type=click.IntRange(1), default=16, show_default=True, help="Number of shapes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same shapes.")
@outs_option(f"A file, whose extension sets the format: {' '.join(FILES)}")
@style_option
@truncation_option
@threshold_option
@printing_options
def sample(
    model: str,
    class_name: str | None,
    count: int,
    seed: int,
    outs: tuple[Path, ...],
    style: Any,
    truncation: float,
    threshold: float | None,
    **printing: Any,
) -> None:
    """Write shapes of a class by seed."""
    from gan3d.shape_io.files import check_output, write_bodies, write_shapes

    settings = print_settings(**printing)
    for out in outs:
        check_output(out)
        if settings:
            check_printed(file_format(out))
    sampler = open_sampler(model)
    from gan3d.sampling.requests import Request, sample_shapes

    sampled = sample_shapes(sampler, [Request(class_name, count, seed)], truncation, threshold)
    voxels = sampled.voxels
    for out in outs if settings else ():
        for path, body in write_bodies(out, voxels, settings, sampled.up, style):
            click.echo(path)
            click.echo(f"{path.name}: {body.describe()}", err=True)
    for out in () if settings else outs:
        floats, labels, classes = sampled.occupancy, sampled.names, sampled.classes
        for path in write_shapes(out, voxels, labels, sampled.up, floats, sampled.threshold, style, classes):
            click.echo(path)


@click.command()
@model_option
@class_option
@click.option("--from", "start", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first shape.")
@click.option("--to", "end", type=click.IntRange(0), default=1, show_default=True, help="Seed of the last shape.")
@click.option("--steps", type=click.IntRange(2), default=9, show_default=True, help="Shapes, ends included.")
@click.option(
    "--path",
    type=click.Choice(PATHS),
    default=PATHS[0],
    show_default=True,
    help="Between the latents: spherical, or a straight line.",
)
@click.option("--out", type=path_option, default=Path("interpolation.png"), show_default=True, help="A .png file.")
@truncation_option
@threshold_option
def interpolate(
    model: str,
    class_name: str | None,
    start: int,
    end: int,
    steps: int,
    path: str,
    out: Path,
    truncation: float,
    threshold: float | None,
) -> None:
    """Interpolate between two seeds: a picture of all steps, and an animation (.gif) beside it."""
    if out.suffix.lower() != ".png":
        raise UserError(f"{out} is not a .png: give it that extension; the animation is written beside it as .gif.")
    check_place(out)
    sampler = open_sampler(model)
    from gan3d.rendering.voxels import class_color
    from gan3d.sampling.requests import Request, sample_shapes
    from gan3d.shape_io.files import write_interpolation

    request = Request(class_name, seed=start, to=end, steps=steps, path=path)
    sampled = sample_shapes(sampler, [request], truncation, threshold)
    color = class_color(sampler.label(class_name))
    for written in write_interpolation(out, sampled.voxels, sampled.up, color):
        click.echo(written)


@click.command()
@click.argument("file", type=path_option)
@click.option("--out", type=path_option, help="A .png or .html file; default: FILE.png.")
@click.option(
    "--resolution",
    type=click.Choice([4, 8, 16, 32, 64, 128, 256]),
    default=64,
    show_default=True,
    help="Voxels along an edge, for a mesh.",
)
@click.option(
    "--count", type=click.IntRange(1), default=32, show_default=True, help="Show at most this many shapes of a file."
)
@click.option(
    "--up", type=click.Choice(["x", "y", "z"]), default="y", show_default=True, help="The axis that points up."
)
def show(file: Path, out: Path | None, resolution: int, count: int, up: str) -> None:
    """Render any voxel or mesh FILE."""
    from gan3d.shape_io.files import load_shapes, write_shapes

    out = out or file.with_name(file.name + ".png")
    pictures = extensions("picture", "page")
    if out.suffix.lower() not in pictures:
        raise UserError(f"{out} is not a picture: give it the extension {' or '.join(pictures)}.")
    check_place(out)
    voxels = load_shapes(file, resolution)[:count]
    for path in write_shapes(out, voxels, [""] * len(voxels), up):
        click.echo(path)
