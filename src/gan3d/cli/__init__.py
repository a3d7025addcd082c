"""The command line `gan3d`, one module per group of commands."""

from gan3d.cli.app import cli, main

__all__ = ["cli", "main"]
