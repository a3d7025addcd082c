"""`gan3d compare`: several generators side by side."""

import gc
from pathlib import Path

import click

from gan3d.cli.setup import path_option


@click.command()
@click.argument("subjects", nargs=-1, required=True, metavar="A B [C …]")
@click.option("--out", type=path_option, default=Path("comparison.html"), show_default=True, help="The page.")
def compare(subjects: tuple[str, ...], out: Path) -> None:
    """Compare generators: parameters, scores, curves, and shapes of the same seeds, on one page that MLflow gets, too.

    Each is a run of MLflow (id or name), an experiment or commit of DVC, a registered version (3, champion), or a
    folder (models/r16; . is what the project holds now). Differences are to the first.
    """
    if len(subjects) < 2:
        raise click.UsageError("name two generators or more.")
    gc.disable()  # a sixth of the time of MLflow's imports, which leave nothing to collect
    from gan3d.config.project import find_project
    from gan3d.outputs import check_place

    project = find_project()
    check_place(out)
    from gan3d.comparison.compare import compare as write

    run = write(subjects, project, out)
    click.echo(f"{out}, and in MLflow the run {run}" if run else str(out))
