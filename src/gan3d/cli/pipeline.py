"""The stages of the pipeline: prepare, train, evaluate, register."""

import os
from pathlib import Path
from typing import Any

import click

from gan3d.cli.data_options import DataCommand
from gan3d.cli.setup import path_option, project_and_params
from gan3d.errors import UserError


@click.command(cls=DataCommand)
@click.option("--out", type=path_option, help="Folder to write, instead of data/voxels.")
@click.option("--workers", type=click.IntRange(1), help="Processes; default: one per core.")
@click.option(
    "--replace", is_flag=True, help="Replace the project's data/voxels although options differ from params.yaml."
)
@click.option("--dask", help="Address of a Dask scheduler, as tcp://host:8786, whose workers see the same files.")
@click.option("--dry-run", is_flag=True, help="Print how the source is understood, then stop; nothing is written.")
def prepare(
    out: Path | None, workers: int | None, replace: bool, dask: str | None, dry_run: bool, **given: Any
) -> None:
    """Voxelise a source of shapes into a data set.

    Outside a project, --source and --out are required and the other options have defaults. In a project, options that
    differ from params.yaml need --out or --replace.
    """
    from gan3d.config.loading import load_params, override_section
    from gan3d.config.project import find_project, in_project
    from gan3d.config.schema import Data
    from gan3d.stages import prepare as stage

    given = {name: value for name, value in given.items() if value is not None}
    if dry_run:
        if "source" in given and not in_project():
            text, error = stage.preview(override_section(Data(), given), 0, Path.cwd())
        else:
            project = find_project()
            params = load_params(project.params)
            text, error = stage.preview(override_section(params.data, given), params.seed, project.work)
        click.echo(text)
        if error:
            raise error
        return
    if "source" in given and out is not None and not in_project():
        summary = stage.run(override_section(Data(), given), 0, out, Path.cwd(), workers, dask)
    else:
        project = find_project()
        params = load_params(project.params)
        data = override_section(params.data, given)
        differing = [name for name in given if getattr(data, name) != getattr(params.data, name)]
        if differing and out is None and not replace and project.voxels.exists():
            option = f"--{differing[0].replace('_', '-')}"
            raise UserError(
                f"{option} differs from data.{differing[0]} in {project.params.name}, and {project.voxels} would be"
                " replaced: name another folder by --out, edit the file, or add --replace."
            )
        summary = stage.run(data, params.seed, out or project.voxels, project.work, workers, dask)
        if out is None:
            stage.log(params.model_copy(update={"data": data}), project, summary)
    click.echo(stage.describe(summary, out or project.voxels))


@click.command()
def check() -> None:
    """Check params.yaml, the data source and this machine before a run, in seconds."""
    from gan3d.config.project import find_project
    from gan3d.stages import check as checking

    found = checking.check(find_project())
    for finding in found:
        click.echo(f"{'error' if finding.fatal else 'warning'}: {finding.sentence}", err=True)
    if any(finding.fatal for finding in found):
        raise click.exceptions.Exit(1)
    if not found:
        click.echo("params.yaml, the data source and this machine are ready")


@click.command()
@click.argument("stages", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and the estimate, then stop.")
def train(stages: tuple[str, ...], dry_run: bool) -> None:
    """Train STAGES (such as r16), or all in order; an interrupted stage continues."""
    params, project = project_and_params()
    for name in stages:
        params.recipe(name)  # an unknown name is told before the first stage is trained
    from gan3d.stages import train as stage

    for name in stages or params.train.stages:
        stage.run(params, name, project, dry_run)


@click.command()
@click.argument("out", type=path_option)
@click.argument("stages", nargs=-1)
def pack(out: Path, stages: tuple[str, ...]) -> None:
    """Pack into the folder OUT what a machine without MLflow and DVC needs to train STAGES, or all.

    There, with the backend of params.yaml, run KERAS_BACKEND=jax python -m gan3d.monitoring.remote OUT. Then copy
    OUT/checkpoints back into this project; `dvc repro` continues from there.
    """
    params, project = project_and_params()
    for name in stages:
        params.recipe(name)
    from gan3d.stages import pack as stage

    size = stage.run(params, stages, project, out)
    click.echo(
        f"{out} ({size / 2**20:,.1f} MiB): on the other machine, run  KERAS_BACKEND={params.train.backend}"
        f" python -m gan3d.monitoring.remote {out.name}"
    )


@click.command()
@click.option("--features", is_flag=True, help="Instead, score how well D's features separate the classes.")
def evaluate(features: bool) -> None:
    """Score every trained resolution on held-out shapes."""
    params, project = project_and_params()
    if features:
        from gan3d.reports.linear_probe_text import linear_probe_text
        from gan3d.stages import features as features_stage

        click.echo(linear_probe_text(features_stage.run(params, project)))
        return
    from gan3d.reports.score_text import score_text
    from gan3d.stages import evaluate as stage

    click.echo(score_text(stage.run(params, project)))


@click.command()
def output() -> None:
    """Write output/<name>, with plots, models and samples for people, of what models/ holds."""
    params, project = project_and_params()
    from gan3d.stages import output as stage

    written = stage.run(params, project)
    click.echo(f"{project.output(params.name)}: {', '.join(written) or 'nothing'} written anew")


@click.command()
def register() -> None:
    """Register the final generator, and make it champion if it is better."""
    params, project = project_and_params()
    from gan3d.stages import register as stage

    click.echo(stage.run(params, project))


@click.command()
def sync() -> None:
    """Send MLflow the entries that an unreachable server or a killed run left on disk."""
    from gan3d.config.project import find_project
    from gan3d.tracking.delivery import sync as deliver
    from gan3d.tracking.store import connect

    project = find_project()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # nothing else waits: large files may take long
    done, refused = deliver(connect(project.mlruns), project.mlruns / "outbox")
    for run, entries in done.items():
        click.echo(f"{run}: {entries} entries sent")
    if refused:
        run, why = next(iter(refused.items()))
        raise UserError(
            f"{len(refused)} runs could not be synced, the first {run} ({why}): run `gan3d sync` again when"
            f" the server is up, or, if the run was deleted, remove {project.mlruns / 'outbox' / run}."
        )
    if not any(done.values()):
        click.echo("nothing to sync")
