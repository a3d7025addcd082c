"""`gan3d recipe`: named parameters for other hardware and other experiments."""

import click

force_option = click.option("--force", is_flag=True, help="Overwrite edits of params.yaml that are not committed.")


@click.group()
def recipe() -> None:
    """List, show, compare and apply recipes: what differs from the default parameters.

    \b
    gan3d recipe apply gpu                                        change params.yaml, then run `dvc repro`
    dvc exp run --temp $(gan3d recipe show gpu --overrides)       run a recipe, and leave params.yaml as it is
    gan3d recipe apply default                                    go back
    """


@recipe.command("list")
def list_recipes() -> None:
    """List all recipes."""
    from gan3d.config import recipes
    from gan3d.config.project import find_project

    folder = find_project().recipes
    names = recipes.names(folder)
    width = max(map(len, names))
    for name in names:
        click.echo(f"{name:{width}}  {recipes.description(name, folder)}")


@recipe.command()
@click.argument("name")
@click.option("--overrides", is_flag=True, help="Instead, print it as options of `dvc exp run`.")
def show(name: str, overrides: bool) -> None:
    """Print recipe NAME: what it is for, what it costs and reaches, and its values."""
    from gan3d.config import recipes
    from gan3d.config.project import find_project

    project = find_project()
    if overrides:
        text = project.params.read_text(encoding="utf-8")
        click.echo(" ".join(f"-S {each}" for each in recipes.overrides(text, name, project.recipes)))
    else:
        click.echo(recipes.text_of(name, project.recipes).rstrip())


@recipe.command()
@click.argument("name")
def diff(name: str) -> None:
    """Print what `apply NAME` would change."""
    from gan3d.config import recipes
    from gan3d.config.project import find_project

    project = find_project()
    text = project.params.read_text(encoding="utf-8")
    new = recipes.apply(text, name, project.recipes)
    click.echo(recipes.difference(text, new, project.params.name).rstrip() or _same(name))


@recipe.command()
@click.argument("name")
@force_option
def apply(name: str, force: bool) -> None:
    """Change params.yaml as recipe NAME says, and print the difference; `default` restores every default."""
    from gan3d.config import recipes
    from gan3d.config.project import find_project

    project = find_project()
    click.echo(recipes.write(project.params, name, project.recipes, force).rstrip() or _same(name))
    others = recipes.others(project.params.read_text(encoding="utf-8"), name, project.recipes)
    if others:
        click.echo(f"\nneither default nor of this recipe, and kept: {', '.join(others)}")


def _same(name: str) -> str:
    return f"params.yaml already has the values of {name}"
