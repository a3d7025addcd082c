"""`gan3d registry`: which versions there are, which one is champion, and how two of them differ."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gan3d.cli.setup import choose_backend, path_option

reason_option = click.option("--reason", required=True, help="Why; it is kept as a tag of the versions.")


@click.group()
def registry() -> None:
    """See, move and compare the versions of the registry."""


@registry.command("list")
def list_versions() -> None:
    """List the versions, the newest first."""
    client = _client()
    from gan3d.registry import aliases

    champion, found = aliases.champion(client), aliases.versions(client)
    if not found:
        click.echo("no version is registered yet")
    for version in found:
        tags = version.tags
        made = datetime.fromtimestamp(version.creation_timestamp / 1000).strftime("%Y-%m-%d %H:%M")
        score = f"1-NNA-CD {float(tags['one_nna_cd']):.3f}" if "one_nna_cd" in tags else "no score"
        mark = "champion" if int(version.version) == champion else ""
        click.echo(
            f"{version.version:>4}  {mark:8}  {made}  {tags.get('resolution', '?'):>3}³  {score:15}  {_told(tags)}"
        )


@registry.command()
@click.argument("version")
@reason_option
def promote(version: str, reason: str) -> None:
    """Make VERSION the champion, whatever its score."""
    client = _client()
    from gan3d.registry import aliases

    move = aliases.promote(client, aliases.number_of(client, version), reason)
    click.echo(f"version {move.new} is champion now" + (f" instead of {move.old}" if move.old else ""))


@registry.command()
@reason_option
def rollback(reason: str) -> None:
    """Make the last champion before this one champion again."""
    client = _client()
    from gan3d.registry import aliases

    move = aliases.rollback(client, reason)
    click.echo(f"version {move.new} is champion again instead of {move.old}")


@registry.command()
@click.argument("one", metavar="A")
@click.argument("two", metavar="B")
@click.option("--out", type=path_option, help="The page; compare-A-B.html, when it is not given.")
def compare(one: str, two: str, out: Path | None) -> None:
    """Show scores and shapes of versions A and B side by side, as HTML and in MLflow."""
    client = _client()
    from gan3d.registry import aliases

    numbers = aliases.number_of(client, one), aliases.number_of(client, two)
    choose_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))
    from gan3d.config.project import find_project
    from gan3d.registry import compare as comparing

    comparison = comparing.compare(client, *numbers, find_project().mlruns)
    out = out or Path(f"compare-{numbers[0]}-{numbers[1]}.html")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(comparing.page(comparison), encoding="utf-8")
    click.echo(f"{out}, and in MLflow the run {comparing.log(comparison)}")


def _client() -> Any:
    from gan3d.config.project import find_project
    from gan3d.registry.aliases import open_registry
    from gan3d.tracking.store import MODEL

    return open_registry(find_project().mlruns, MODEL)


def _told(tags: dict[str, str]) -> str:
    return ": ".join(tags[name] for name in ("promotion", "promotion_reason") if name in tags)
