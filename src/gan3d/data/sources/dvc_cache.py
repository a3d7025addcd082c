"""Where DVC keeps the files that it links into a workspace (`cache.type symlink`), as its own configuration says."""

from pathlib import Path


def cache_folders(folder: Path) -> tuple[Path, ...]:
    """The resolved caches of the DVC repositories around a folder and around the current one; none without DVC."""
    found = {path for start in (folder, Path.cwd()) if (path := _cache_of(start.resolve())) is not None}
    return tuple(sorted(found))


def _cache_of(start: Path) -> Path | None:
    repository = next((path / ".dvc" for path in (start, *start.parents) if (path / ".dvc").is_dir()), None)
    if repository is None:
        return None
    try:
        from dvc.config import Config, ConfigError
    except ImportError:
        return (repository / "cache").resolve()
    try:
        configured = Config(dvc_dir=str(repository)).get("cache", {}).get("dir")
    except (ConfigError, OSError):
        configured = None
    return Path(configured or repository / "cache").resolve()
