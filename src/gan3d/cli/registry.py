"""`gan3d registry`: list versions, and move the champion."""

from datetime import datetime
from typing import Any

import click

reason_option = click.option("--reason", required=True, help="Why; stored as a tag of the versions.")


@click.group()
def registry() -> None:
    """List and promote registered versions."""


name_argument = click.argument("name", required=False)


@registry.command("list")
@name_argument
def list_versions(name: str | None) -> None:
    """List the versions of the project's model, or of NAME, newest first."""
    client, name = _open(name)
    from gan3d.metrics.table import BY_KEY
    from gan3d.registry import aliases

    champion, versions = aliases.champion(client, name), aliases.versions(client, name)
    if not versions:
        click.echo(f"no version of {name} is registered yet")
    for version in versions:
        tags = version.tags
        created = datetime.fromtimestamp(version.creation_timestamp / 1000).strftime("%Y-%m-%d %H:%M")
        known = next((key for key in ("excess", "one_nna_cd") if key in tags), None)
        score = f"{BY_KEY[known].heading} {float(tags[known]):.3f}" if known else "no score"
        mark = "champion" if int(version.version) == champion else ""
        grid = f"{tags.get('resolution', '?'):>3}³"
        click.echo(f"{version.version:>4}  {mark:8}  {created}  {grid}  {score:15}  {_promotion(tags)}")


@registry.command()
@click.argument("version")
@reason_option
def promote(version: str, reason: str) -> None:
    """Make VERSION, such as 3 or chairs/3, the champion, regardless of its score."""
    client, name = _open(None)
    from gan3d.registry import aliases

    move = aliases.promote(client, *aliases.find_version(client, version, name), reason)
    click.echo(f"version {move.new} is now champion" + (f" instead of {move.old}" if move.old else ""))


@registry.command()
@name_argument
@reason_option
def rollback(name: str | None, reason: str) -> None:
    """Restore the previous champion of the project's model, or of NAME."""
    client, name = _open(name)
    from gan3d.registry import aliases

    move = aliases.rollback(client, name, reason)
    click.echo(f"version {move.new} is champion again instead of {move.old}")


def _open(name: str | None) -> tuple[Any, str]:
    """The registry, and the name of a model in it."""
    from gan3d.config.project import find_project
    from gan3d.registry.aliases import open_registry

    project = find_project()
    name = name or project.name
    return open_registry(project.mlruns, name), name


def _promotion(tags: dict[str, str]) -> str:
    return ": ".join(tags[name] for name in ("promotion", "promotion_reason") if name in tags)
