"""`gan3d tune`: search for a stage's best parameters, and take them over."""

import signal

import click

from gan3d.cli.setup import project_and_params


class StageOrCommand(click.Group):
    """Before a stage, the word `sweep` may be left out: `tune r16`, `tune --worker r16`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["sweep", *args]
        return super().parse_args(ctx, args)


@click.group(cls=StageOrCommand, subcommand_metavar="[sweep] STAGE | apply STAGE | dashboard")
def tune() -> None:
    """Search for a stage's best parameters, as params.yaml says under `tune`.

    \b
    gan3d tune r16                begin or continue the study of r16
    gan3d tune r16 --workers 2    with two processes
    gan3d tune r16 --worker       take part in it, from any terminal or machine
    gan3d tune all                tune a stage, train it with the best, go on to the next
    gan3d tune apply r16          write the best values into params.yaml
    gan3d tune dashboard          look at the studies
    gan3d tune r16 --help         all options of a sweep
    """


storage_option = click.option(
    "--storage",
    metavar="URL",
    envvar="GAN3D_STORAGE",
    help="Of the database, instead of tune.storage (or $GAN3D_STORAGE).",
)
study_option = click.option("--study", metavar="NAME", help="Instead of the model's name and the stage.")


@tune.command()
@click.argument("stage", metavar="STAGE|all")
@storage_option
@study_option
@click.option("--trials", type=click.IntRange(1), help="Of the study in all, instead of tune.trials.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--worker", is_flag=True, help="Only take part in the study: without a word on its outcome at the end.")
@click.option("--dask", metavar="ADDRESS", help="Spread the trials over the workers of this Dask scheduler.")
def sweep(
    stage: str,
    storage: str | None,
    study: str | None,
    trials: int | None,
    workers: int,
    worker: bool,
    dask: str | None,
) -> None:
    """Begin or continue the study of STAGE, as r16; `sweep` may be left out.

    With `all`, tune each stage from the smallest to the largest, and train it with the best values before the next.
    Ctrl-C ends it cleanly, and the same command continues.
    """
    if stage == "all" and (study or trials or worker):
        raise click.UsageError("--study, --trials and --worker are for one stage.")
    if dask and (worker or workers > 1):
        raise click.UsageError("--dask takes as many workers as its scheduler has: leave out --worker and --workers.")
    params, here = project_and_params()
    from gan3d.tuning import report, sweep
    from gan3d.tuning.study_spec import study_spec

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as cleanly as by Ctrl-C
    if stage == "all":
        sweep.tune_all(here, storage, workers, dask, click.echo)
        return
    if trials:
        params = params.model_copy(update={"tune": params.tune.model_copy(update={"trials": trials})})
    chosen = study_spec(params, stage, here, storage, study)
    done = sweep.run(chosen, workers, dask, click.echo)
    if not worker:
        click.echo("\n".join(report.verdict(done, chosen)))


@tune.command()
@click.argument("stage")
@storage_option
@study_option
@click.option("--trial", "number", type=click.IntRange(0), help="This trial, instead of the best.")
def apply(stage: str, storage: str | None, study: str | None, number: int | None) -> None:
    """Write the best values of STAGE into params.yaml and show the difference."""
    params, here = project_and_params()  # quietly, since what follows imports Keras
    from gan3d.tuning.study_spec import study_spec
    from gan3d.tuning.sweep import apply_best

    difference = apply_best(study_spec(params, stage, here, storage, study), number)
    click.echo(difference.rstrip() or f"{here.params.name} has these values already")


@tune.command()
@storage_option
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
def dashboard(storage: str | None, port: int) -> None:
    """Show the studies in a browser, on this machine alone."""
    from gan3d.config.loading import load_params
    from gan3d.config.project import find_project

    here = find_project()
    loaded = load_params(here.params)
    from gan3d.tuning import dashboard
    from gan3d.tuning.study_spec import database

    dashboard.serve(database(loaded, here, storage), port, click.echo)
