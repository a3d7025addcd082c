"""`gan3d pretrained`: trained generators by name."""

import click

from gan3d.cli.setup import choose_backend


@click.group()
def pretrained() -> None:
    """List, download and register pretrained generators."""


@pretrained.command("list")
def list_models() -> None:
    """List the models of pretrained/index.yaml: size, whether it is here, shapes, licence."""
    from gan3d.config.project import find_project
    from gan3d.pretrained import read_index

    folder = find_project().pretrained
    models = read_index(folder).models
    width = max(map(len, models), default=0)
    for name, entry in models.items():
        here = "here" if all((folder / name / file).is_file() for file in entry.files) else entry.where
        click.echo(f"{name:{width}}  {entry.size / 1e6:6.1f} MB  {here:10}  {entry.shapes}; {entry.licence}")


@pretrained.command()
@click.argument("name")
def get(name: str) -> None:
    """Download model NAME into pretrained/ if it is not there, and verify its hash; prints the folder."""
    from gan3d.config.project import find_project
    from gan3d.monitoring.progress import progress_bar
    from gan3d.pretrained import get as fetch

    with progress_bar("download", "B") as progress:
        click.echo(fetch(name, find_project().pretrained, progress))


@pretrained.command()
@click.argument("name")
def register(name: str) -> None:
    """Register model NAME under its own name; `gan3d registry promote` makes it champion."""
    from gan3d.config.project import find_project

    project = find_project()
    choose_backend()
    from gan3d.pretrained import register as log

    number = log(name, project.pretrained, project)
    click.echo(f"{name} version {number}; promote it with `gan3d registry promote {name}/{number} --reason …`")
