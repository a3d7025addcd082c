"""Run commands as if permissions counted, for tests that root runs too."""

import os
import shutil
import subprocess
from pathlib import Path


def as_nobody_special(command: list[str]) -> list[str] | None:
    """The command without root's right to ignore permissions; None where that is not possible."""
    if os.geteuid() != 0:
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return None
    limited = [setpriv, "--bounding-set", "-dac_override,-dac_read_search,-fowner"]
    works = subprocess.run([*limited, "true"], capture_output=True).returncode == 0
    return [*limited, *command] if works else None


def make_read_only(folder: Path) -> None:
    """Take the right to write from a folder and all that is in it."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def make_writable(folder: Path) -> None:
    """Give it back, to let pytest remove the folder."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)
