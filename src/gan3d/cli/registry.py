"""`gan3d registry`: list versions, and move the champion."""

from datetime import datetime
from typing import Any

import click

reason_option = click.option("--reason", required=True, help="Why; stored as a tag of the versions.")


@click.group()
def registry() -> None:
    """List and promote registered versions."""


@registry.command("list")
def list_versions() -> None:
    """List all versions, newest first."""
    client = _client()
    from gan3d.metrics.table import BY_KEY
    from gan3d.registry import aliases

    champion, versions = aliases.champion(client), aliases.versions(client)
    if not versions:
        click.echo("no version is registered yet")
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
    """Make VERSION the champion, regardless of its score."""
    client = _client()
    from gan3d.registry import aliases

    move = aliases.promote(client, aliases.number_of(client, version), reason)
    click.echo(f"version {move.new} is now champion" + (f" instead of {move.old}" if move.old else ""))


@registry.command()
@reason_option
def rollback(reason: str) -> None:
    """Restore the previous champion."""
    client = _client()
    from gan3d.registry import aliases

    move = aliases.rollback(client, reason)
    click.echo(f"version {move.new} is champion again instead of {move.old}")


def _client() -> Any:
    from gan3d.config.project import find_project
    from gan3d.registry.aliases import open_registry
    from gan3d.tracking.store import MODEL

    return open_registry(find_project().mlruns, MODEL)


def _promotion(tags: dict[str, str]) -> str:
    return ": ".join(tags[name] for name in ("promotion", "promotion_reason") if name in tags)
