"""Where a run comes from: commit, DVC stage, experiment."""

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Output of a git command; empty without git or a repository."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def provenance_tags(folder: Path) -> dict[str, str]:
    """Tags for a run: the commit, whether tracked files differ from it, and DVC's stage and experiment."""
    tags = {"git.commit": git(folder, "rev-parse", "HEAD")}
    tags["git.dirty"] = str(bool(git(folder, "status", "--porcelain", "--untracked-files=no"))).lower()
    for variable in ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        tags[variable.lower().replace("_", ".", 1)] = os.environ.get(variable, "")
    return {name: value for name, value in tags.items() if value}
