"""Sample and interpolate with a trained model, and show any shape."""

from pathlib import Path
from typing import Any

import click

from gan3d.cli.printing_options import print_settings, printing_options
from gan3d.cli.setup import class_option, model_option, open_sampler, outs_option, path_option
from gan3d.cli.shape_files import check_files, style_option, write_files
from gan3d.errors import UserError
from gan3d.outputs import check_place
from gan3d.sampling.paths import PATHS
from gan3d.shape_io.formats import FILES, extensions

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


@click.command()
@model_option
@class_option
@click.option("--count", type=click.IntRange(1), default=16, show_default=True, help="Number of shapes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same shapes.")
@click.option("--around", type=path_option, help="Draw shapes around the latent of a file that `gan3d invert` wrote.")
@click.option(
    "--minus", type=path_option, multiple=True, help="Latent file to subtract from --around; may be repeated."
)
@click.option("--plus", type=path_option, multiple=True, help="Latent file to add to --around; may be repeated.")
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="Of --around: from 0, the shape itself, to 1, shapes that have nothing in common with it.",
)
@outs_option(f"A file, whose extension sets the format: {' '.join(FILES)}")
@style_option
@truncation_option
@threshold_option
@printing_options
def sample(
    model: str | None,
    class_name: str | None,
    count: int,
    seed: int,
    around: Path | None,
    minus: tuple[Path, ...],
    plus: tuple[Path, ...],
    strength: float,
    outs: tuple[Path, ...],
    style: Any,
    truncation: float,
    threshold: float | None,
    **printing: Any,
) -> None:
    """Write shapes of a class by seed, or around shapes of your own."""
    settings = print_settings(**printing)
    check_files(outs, settings)
    if around is None and (minus or plus):
        raise UserError("--minus and --plus change the latent of --around: name its file.")
    sampler = open_sampler(model)
    from gan3d.sampling.requests import Request, sample_shapes

    request = Request(class_name, count, seed)
    if around is not None:
        request = around_latent(sampler, class_name, around, minus, plus, strength, count, seed)
    sampled = sample_shapes(sampler, [request], truncation, threshold)
    write_files(outs, settings, sampled.voxels, sampled.names, sampled.up, style, sampled.classes)


def around_latent(
    sampler: Any,
    class_name: str | None,
    around: Path,
    minus: tuple[Path, ...],
    plus: tuple[Path, ...],
    strength: float,
    count: int,
    seed: int,
) -> Any:
    """A request for shapes around the latent of a file, with others added and subtracted."""
    from gan3d.inversion.latent_file import load_latent
    from gan3d.inversion.vectors import combine, vary
    from gan3d.sampling.requests import Request

    start = load_latent(around, sampler.model)
    added, subtracted = ([load_latent(path, sampler.model).vector for path in paths] for paths in (plus, minus))
    vector = combine([start.vector, *added], subtracted)
    return Request(class_name or start.class_name, vectors=vary(vector, strength, count, seed))


class SeedOrLatent(click.ParamType):
    """The end of a walk: a seed, or a file that `gan3d invert` wrote."""

    name = "seed or file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | Path:
        if isinstance(value, int):
            return value
        number = value.removeprefix("-").isdigit()
        return click.IntRange(0).convert(value, param, ctx) if number else path_option.convert(value, param, ctx)


@click.command()
@model_option
@class_option
@click.option(
    "--from", "start", type=SeedOrLatent(), default=0, show_default=True, help="Seed or latent file of the first shape."
)
@click.option(
    "--to", "end", type=SeedOrLatent(), default=1, show_default=True, help="Seed or latent file of the last shape."
)
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
    model: str | None,
    class_name: str | None,
    start: int | Path,
    end: int | Path,
    steps: int,
    path: str,
    out: Path,
    truncation: float,
    threshold: float | None,
) -> None:
    """Interpolate between seeds or shapes of your own: a picture of all steps, and an animation (.gif) beside it."""
    if out.suffix.lower() != ".png":
        raise UserError(f"{out} is not a .png: give it that extension; the animation is written beside it as .gif.")
    check_place(out)
    sampler = open_sampler(model)
    from gan3d.rendering.voxels import class_color
    from gan3d.sampling.requests import Request, sample_shapes
    from gan3d.shape_io.files import write_interpolation

    if isinstance(start, Path) or isinstance(end, Path):
        request = walk_between(sampler, class_name, start, end, steps, path)
    else:
        request = Request(class_name, seed=start, to=end, steps=steps, path=path)
    sampled = sample_shapes(sampler, [request], truncation, threshold)
    color = class_color(sampler.label(request.class_name))
    for written in write_interpolation(out, sampled.voxels, sampled.up, color):
        click.echo(written)


def walk_between(
    sampler: Any, class_name: str | None, start: int | Path, end: int | Path, steps: int, path: str
) -> Any:
    """A request for a walk of which at least one end is a latent file.

    Raises:
        UserError: for files of two classes.
    """
    from gan3d.inversion.latent_file import load_latent
    from gan3d.inversion.vectors import normalise
    from gan3d.sampling.latents import draw_latents
    from gan3d.sampling.paths import walk
    from gan3d.sampling.requests import Request

    ends = [load_latent(each, sampler.model) if isinstance(each, Path) else None for each in (start, end)]
    names = list(dict.fromkeys(each.class_name for each in ends if each is not None))
    if class_name is None and len(names) > 1:
        raise UserError(f"the files are of the classes {' and '.join(names)}: name one by --class.")
    size = sampler.model.architecture.latent
    vectors = [
        each.vector if each is not None else draw_latents(int(seed), 1, size)[0]  # type: ignore[arg-type]
        for each, seed in zip(ends, (start, end), strict=True)
    ]
    vectors = [normalise(vector) for vector in vectors]
    return Request(class_name or names[0], vectors=walk(vectors[0], vectors[1], steps, path))


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
