"""What can be done with a trained model and with any shape: sample, interpolate, show."""

from pathlib import Path
from typing import Any

import click

from gan3d.cli.setup import class_option, model_option, open_sampler, path_option
from gan3d.errors import UserError

truncation_option = click.option(
    "--truncation",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Below 1, shapes are less varied and more typical of their class; at 0 all are its mean shape.",
)
threshold_option = click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Occupancy above which a voxel is occupied; the model's own."
)
style_option = click.option(
    "--style", type=click.Choice(["marching_cubes", "blocks"]), default="marching_cubes", help="Surface of meshes."
)


@click.command()
@model_option
@class_option
@click.option("--count", type=click.IntRange(1), default=16, show_default=True, help="How many shapes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same shapes.")
@click.option(
    "--out",
    "outs",
    type=path_option,
    multiple=True,
    required=True,
    help="A file by extension: .npy .npz .binvox .stl .obj .ply .glb .png .html; may be repeated.",
)
@style_option
@truncation_option
@threshold_option
def sample(
    model: str,
    class_name: str | None,
    count: int,
    seed: int,
    outs: tuple[Path, ...],
    style: Any,
    truncation: float,
    threshold: float | None,
) -> None:
    """Write shapes of a class by seed."""
    from gan3d.shape_io.files import check_output, write_shapes

    for out in outs:
        check_output(out)
    sampler = open_sampler(model)
    from gan3d.sampling.requests import Request, draw

    drawn = draw(sampler, [Request(class_name, count, seed)], truncation, threshold)
    voxels = drawn.voxels
    for out in outs:
        floats, labels, classes = drawn.occupancy, drawn.names, drawn.classes
        for path in write_shapes(out, voxels, labels, drawn.up, floats, drawn.threshold, style, classes):
            click.echo(path)


@click.command()
@model_option
@class_option
@click.option("--from", "start", type=click.IntRange(0), default=0, show_default=True, help="Seed of the first shape.")
@click.option("--to", "end", type=click.IntRange(0), default=1, show_default=True, help="Seed of the last shape.")
@click.option("--steps", type=click.IntRange(2), default=9, show_default=True, help="Shapes, ends included.")
@click.option(
    "--out", type=path_option, default=Path("interpolation.png"), show_default=True, help="Picture of a strip."
)
@truncation_option
@threshold_option
def interpolate(
    model: str,
    class_name: str | None,
    start: int,
    end: int,
    steps: int,
    out: Path,
    truncation: float,
    threshold: float | None,
) -> None:
    """Walk between two seeds: a strip, and an animation (.gif) beside it."""
    if out.suffix.lower() != ".png":
        raise UserError(
            f"{out} cannot hold the strip: give it the extension .png; the animation stands beside it as .gif."
        )
    sampler = open_sampler(model)
    from gan3d.rendering.voxels import class_color
    from gan3d.sampling.requests import Request, draw
    from gan3d.shape_io.files import write_interpolation

    drawn = draw(sampler, [Request(class_name, seed=start, to=end, steps=steps)], truncation, threshold)
    color = class_color(sampler.label(class_name))
    for written in write_interpolation(out, drawn.voxels, drawn.up, color):
        click.echo(written)


@click.command()
@click.argument("file", type=path_option)
@click.option("--out", type=path_option, help="A .png or .html; FILE with .png, when it is not given.")
@click.option(
    "--resolution",
    type=click.Choice([4, 8, 16, 32, 64, 128, 256]),
    default=64,
    show_default=True,
    help="At which to draw a mesh.",
)
@click.option(
    "--count", type=click.IntRange(1), default=32, show_default=True, help="Of a file of many, the first so many."
)
@click.option(
    "--up", type=click.Choice(["x", "y", "z"]), default="y", show_default=True, help="The axis that points up."
)
def show(file: Path, out: Path | None, resolution: int, count: int, up: str) -> None:
    """Draw any voxel or mesh FILE."""
    from gan3d.shape_io.files import PICTURES, load_shapes, write_shapes

    out = out or file.with_name(file.name + ".png")
    if out.suffix.lower() not in PICTURES:
        raise UserError(f"{out} is no picture: give it the extension .png or .html.")
    voxels = load_shapes(file, resolution)[:count]
    for path in write_shapes(out, voxels, [""] * len(voxels), up):
        click.echo(path)
