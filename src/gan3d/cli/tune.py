"""`gan3d tune`: search for a stage's best parameters, and apply them."""

import dataclasses
import signal

import click

from gan3d.cli.setup import project_and_params


class StageOrCommand(click.Group):
    """Makes `sweep` the default command: `tune r16`, `tune --worker r16`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["sweep", *args]
        return super().parse_args(ctx, args)


@click.group(cls=StageOrCommand, subcommand_metavar="[sweep] STAGE | apply STAGE | dashboard")
def tune() -> None:
    """Search for a stage's best parameters, as configured under `tune` in params.yaml.

    \b
    gan3d tune r16                start or continue the study of r16
    gan3d tune r16 --workers 2    use two processes
    gan3d tune r16 --worker       join the study, from any terminal or machine
    gan3d tune r16 --by eye       choose the better trials yourself, in the dashboard
    gan3d tune all                tune each stage in turn, and train it with the best values
    gan3d tune apply r16          write the best values into params.yaml
    gan3d tune dashboard          browse the studies
    gan3d tune r16 --help         list the options of a sweep
    """


storage_option = click.option(
    "--storage",
    metavar="URL",
    envvar="GAN3D_STORAGE",
    help="Database, instead of tune.storage; also read from $GAN3D_STORAGE.",
)
study_option = click.option(
    "--study", metavar="NAME", help="Name of the study; default: the model's name and the stage."
)


@tune.command()
@click.argument("stage", metavar="STAGE|all")
@storage_option
@study_option
@click.option("--trials", type=click.IntRange(1), help="Total trials of the study, instead of tune.trials.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--worker", is_flag=True, help="Only join the study; print no summary at the end.")
@click.option("--by", type=click.Choice(["eye"]), help="Let your eye decide: choose between two trials at a time.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Of the page, with --by eye."
)
@click.option("--dask", metavar="ADDRESS", help="Spread the trials over the workers of this Dask scheduler.")
def sweep(
    stage: str,
    storage: str | None,
    study: str | None,
    trials: int | None,
    workers: int,
    worker: bool,
    by: str | None,
    port: int,
    dask: str | None,
) -> None:
    """Start or continue the study of STAGE, such as r16; the word `sweep` is optional.

    With `all`, tune the stages in order of resolution, and train each with its best values before the next.
    Ctrl-C stops cleanly; the same command continues.
    """
    if stage == "all" and (study or trials or worker):
        raise click.UsageError("--study, --trials and --worker need one stage, not all.")
    if dask and (worker or workers > 1):
        raise click.UsageError("--dask uses all workers of its scheduler: leave out --worker and --workers.")
    if by and (stage == "all" or dask or worker or workers > 1):
        raise click.UsageError("--by eye tunes one stage in this process: leave out the other options.")
    params, project = project_and_params()
    from gan3d.tuning import report, sweep
    from gan3d.tuning.study_spec import study_spec

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop as cleanly as on Ctrl-C
    if stage == "all":
        sweep.tune_all(project, storage, workers, dask, click.echo)
        return
    if trials:
        params = params.model_copy(update={"tune": params.tune.model_copy(update={"trials": trials})})
    chosen = study_spec(params, stage, project, storage, study)
    if by:
        from gan3d.tuning import by_eye

        named = chosen if study else dataclasses.replace(chosen, name=by_eye.by_eye_name(chosen))
        click.echo("\n".join(by_eye.run(named, port, click.echo)))
        return
    done = sweep.run(chosen, workers, dask, click.echo)
    if not worker:
        click.echo("\n".join(report.verdict(done, chosen)))


@tune.command()
@click.argument("stage")
@storage_option
@study_option
@click.option("--trial", "number", type=click.IntRange(0), help="Number of a trial, instead of the best.")
def apply(stage: str, storage: str | None, study: str | None, number: int | None) -> None:
    """Write the best values of STAGE into params.yaml and show the difference."""
    params, project = project_and_params()  # also silences the import of Keras below
    from gan3d.tuning.study_spec import study_spec
    from gan3d.tuning.sweep import apply_best

    difference = apply_best(study_spec(params, stage, project, storage, study), number)
    click.echo(difference.rstrip() or f"{project.params.name} already has these values")


@tune.command()
@storage_option
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
def dashboard(storage: str | None, port: int) -> None:
    """Browse the studies, on this machine only."""
    from gan3d.config.loading import load_params
    from gan3d.config.project import find_project

    project = find_project()
    params = load_params(project.params)
    from gan3d.tuning import dashboard
    from gan3d.tuning.study_spec import database

    dashboard.serve(database(params, project, storage), port, project.mlruns, click.echo)
