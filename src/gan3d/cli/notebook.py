"""`gan3d notebook`: run the notebooks without opening them."""

import time
from typing import Any

import click

from gan3d.errors import UserError


@click.group()
def notebook() -> None:
    """Run the notebooks of notebooks/ without opening them."""


@notebook.command("list")
def list_notebooks() -> None:
    """List the notebooks."""
    from gan3d import notebooks
    from gan3d.config.project import find_project

    folder = find_project().notebooks
    for name in notebooks.names(folder):
        lines = (folder / f"{name}.py").read_text(encoding="utf-8").splitlines()
        title = next(line for line in lines if line.startswith("# # ")).removeprefix("# # ")
        click.echo(f"{name:24}{title}")


@notebook.command()
@click.argument("names", nargs=-1, required=True)
@click.option("-p", "given", nargs=2, multiple=True, metavar="KEY VALUE", help="A parameter; may be repeated.")
@click.option("--quick", is_flag=True, help="With small parameters, as in the tests.")
@click.option("--html", is_flag=True, help="Also write it as a page.")
@click.option("--no-track", is_flag=True, help="Do not log it to MLflow.")
def run(names: tuple[str, ...], given: tuple[tuple[str, str], ...], quick: bool, html: bool, no_track: bool) -> None:
    """Execute NAMES, such as 05, or `all`, into output/<name>/ and as an artifact of an MLflow run."""
    import yaml

    from gan3d import notebooks
    from gan3d.config.loading import load_params
    from gan3d.config.project import find_project

    project = find_project()
    model = load_params(project.params).name
    folder = project.notebooks
    chosen = notebooks.names(folder) if names == ("all",) else [notebooks.find(name, folder) for name in names]
    parameters: dict[str, Any] = {}
    for key, value in given:
        try:
            parameters[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(
                f"-p {key} {value} is not a value: write it as in YAML, such as r16, 5 or [1, 2]."
            ) from None
    for name in chosen:
        start = time.monotonic()
        values = (notebooks.quick_parameters(name, folder) if quick else {}) | parameters
        written = notebooks.run(name, folder, project.output(model), values, project.work)
        if html:
            notebooks.render(written)
        if not no_track:
            notebooks.track(name, written, values, model, project)
        click.echo(f"{written.relative_to(project.work)}  {time.monotonic() - start:.0f} s")


@notebook.command()
def sync() -> None:
    """Write the .ipynb files anew from their texts."""
    from gan3d import notebooks
    from gan3d.config.project import find_project

    changed = notebooks.synchronize(find_project().notebooks)
    click.echo("\n".join(map(str, changed)) or "nothing has changed")
