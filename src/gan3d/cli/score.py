"""Score any two sets of shapes."""

from pathlib import Path

import click

from gan3d.cli.setup import path_option
from gan3d.errors import UserError
from gan3d.outputs import check_place


@click.command()
@click.argument("generated", type=path_option)
@click.argument("real", type=path_option)
@click.option("--train", type=path_option, help="The shapes that the generator was trained on: for floors and novelty.")
@click.option("--class", "class_name", help="Class of the real shapes, where the source has several.")
@click.option(
    "--resolution",
    type=click.Choice([4, 8, 16, 32, 64, 128]),
    help="Voxels along an edge; default: that of the coarsest grids, 64 for meshes.",
)
@click.option("--up", type=click.Choice(["x", "y", "z"]), help="The axis that points up; default: y.")
@click.option("--count", type=click.IntRange(10), default=500, show_default=True, help="Shapes of a draw, at most.")
@click.option("--draws", type=click.IntRange(1), default=3, show_default=True, help="Draws to average over, at most.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the shapes that are chosen.")
@click.option("--out", type=path_option, help="Write a page here, an .html file.")
@click.option("--json", "json_file", type=path_option, help="Write all scores here.")
def score(
    generated: Path,
    real: Path,
    train: Path | None,
    class_name: str | None,
    resolution: int | None,
    up: str | None,
    count: int,
    draws: int,
    seed: int,
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Score GENERATED shapes, of any generator, against REAL ones.

    Each is a voxel or mesh file, a folder or archive of them, an array set (.npy, .npz, .h5, .mat) or a prepared data
    set. Of sources that state splits, REAL gives its test shapes and --train its training shapes.
    """
    for path, kind in ((out, ".html"), (json_file, ".json")):
        if path is not None:
            if path.suffix.lower() != kind:
                raise UserError(f"{path} is not a {kind} file: give it that extension.")
            check_place(path)
    from gan3d.reports.score_text import score_text
    from gan3d.stages import score as stage

    scored = stage.run(generated, real, train, class_name, resolution, up, count, draws, seed)
    for source, rejects in scored.rejects.items():
        name, reason, advice = rejects[0]
        click.echo(
            f"warning: {len(rejects)} files of {source} could not be read, such as {name}: {reason} {advice}", err=True
        )
    click.echo(score_text(scored.rows))
    for path in stage.write(scored, f"{generated.name} against {real.name}", out, json_file):
        click.echo(path)
