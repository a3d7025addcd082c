"""Sources at an address: https://, s3:// (also other servers that speak S3), through fsspec, into a cache on disk.

A download that breaks off is continued where it stopped, when it is still the same file. CACHE/<hash>/ holds the file
under its own name, `origin.json` with the address and the server's mark of the version, and, while it is under way,
`<name>.partial`.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from gan3d.data.formats.extensions import ARCHIVES, SETS, suffix
from gan3d.errors import UserError

BLOCK = 4 * 2**20  # bytes read at once
TRIES = 4  # in a row without a single new byte
CONNECT, READ = 5, 30  # seconds
ENDPOINT = "AWS_ENDPOINT_URL"
NAMED = {
    "3d_gans": "https://s3-eu-west-1.amazonaws.com/bsopenbucket/e4040/data.zip",  # the data set of 3d_gans (2018)
}
INSTEAD = {
    "3d_gans": "its owner may have removed it; use `synthetic`, or ModelNet10 or volumetric data of your own,"
    " with data.source"
}

Progress = Callable[[int, int], None]


def is_address(source: str) -> bool:
    """Is a source an address, or the name of one?"""
    return source in NAMED or source.startswith(("https://", "http://", "s3://"))


def cache_folder() -> Path:
    """GAN3D_CACHE, or gan3d in the user's cache."""
    given = os.environ.get("GAN3D_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(given) if given else Path(base).expanduser() / "gan3d"


def fetch(
    source: str,
    cache: Path | None = None,
    sha256: str | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download an address, or take it from the cache when the server still has the same version; returns the path.

    An s3:// address that ends in a slash, or that is no object, is a prefix, and becomes a folder.

    Args:
        source: an address, or a name out of NAMED.
        cache: where to; `cache_folder()` when it is not given.
        sha256: that the file must have (not for a prefix).
        endpoint: of a server that speaks S3; AWS_ENDPOINT_URL when it is not given.
        progress: called with (bytes done, bytes in all).

    Raises:
        UserError: when the address cannot be reached or read, the disk is full, or the hash is another one.
    """
    address = NAMED.get(source, source)
    folder = (cache or cache_folder()) / hashlib.sha256(f"{address}\n{endpoint or ''}".encode()).hexdigest()[:16]
    try:
        system, path = _system(address, endpoint)
        found = system.find(path.rstrip("/"), detail=True) if address.startswith("s3://") else {}
        if found and (address.endswith("/") or list(found) != [path]):
            if sha256:
                raise UserError(f"{address} is a prefix, of which there is no hash: leave out the hash.")
            return _fetch_prefix(system, path.rstrip("/"), found, folder, progress)
        result = folder / (PurePosixPath(urlsplit(address).path).name or "data")
        _fetch_file(system, path, system.info(path), result, progress)
    except UserError:
        raise
    except Exception as error:  # botocore, aiohttp and fsspec have no common ancestor
        raise _explained(source, address, error) from error
    _check(result, address, sha256)
    return result


def deliver(path: Path, out: Path) -> Path:
    """Copy what was fetched to OUT, which appears whole or not at all; returns OUT.

    Raises:
        UserError: when OUT exists.
    """
    if out.exists():
        raise UserError(f"{out} exists: remove it, or choose another --out.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        copy = Path(scratch) / out.name
        if path.is_dir():
            shutil.copytree(path, copy)
        else:
            shutil.copy2(path, copy)
        copy.rename(out)
    return out


def _system(address: str, endpoint: str | None) -> tuple[Any, str]:
    """The file system of an address, with short time limits, and the path in it."""
    import fsspec

    if address.startswith("s3://"):
        where = endpoint or os.environ.get(ENDPOINT)
        options = {
            "client_kwargs": {"endpoint_url": where} if where else {},
            "config_kwargs": {"connect_timeout": CONNECT, "read_timeout": READ, "retries": {"max_attempts": 1}},
            "skip_instance_cache": True,
        }
        system = fsspec.filesystem("s3", **options)
        if hasattr(system, "retries"):
            system.retries = 1
        return system, address.removeprefix("s3://")
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=None, connect=CONNECT, sock_connect=CONNECT, sock_read=READ)
    return fsspec.filesystem("https", client_kwargs={"timeout": timeout}, skip_instance_cache=True), address


def _version(info: dict[str, Any]) -> dict[str, Any]:
    """What tells one version of a file from the next; without any mark, a file is never taken for the same."""
    marks = {name: str(info[name]) for name in ("ETag", "etag", "LastModified", "mtime") if info.get(name)}
    return {"size": info.get("size"), **marks}


def _fetch_file(system: Any, path: str, info: dict[str, Any], result: Path, progress: Progress | None) -> None:
    """One file, continued from what an earlier try left of the same version; one process at a time writes it."""
    result.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(result.parent / f".{result.name}.lock"):
        _fetch_locked(system, path, info, result, progress)


def _fetch_locked(system: Any, path: str, info: dict[str, Any], result: Path, progress: Progress | None) -> None:
    origin, partial = result.parent / f"{result.name}.origin.json", result.parent / f"{result.name}.partial"
    version = {"path": path, **_version(info)}
    same = len(version) > 2 and origin.is_file() and json.loads(origin.read_text(encoding="utf-8")) == version
    if same and result.is_file():
        return
    if not same:
        partial.unlink(missing_ok=True)
        result.unlink(missing_ok=True)
        origin.write_text(json.dumps(version), encoding="utf-8")
    size = info.get("size")
    room = shutil.disk_usage(result.parent).free
    if size and size > room:
        raise UserError(
            f"{path} has {size / 1e9:.1f} GB, but {result.parent} has room for {room / 1e9:.1f}: free some."
        )
    with partial.open("ab") as out:
        if path.startswith("http") and not _gives_parts(path):  # then it cannot continue, either
            _stream(system, path, size or 0, out, progress)
        else:
            _copy(system, path, size or 0, out, progress)
    partial.replace(result)


def _gives_parts(address: str) -> bool:
    """Does a server honour a range of bytes? One byte is asked for, and a longer answer is not read."""
    request = urllib.request.Request(address, headers={"Range": "bytes=0-0"})
    with urllib.request.urlopen(request, timeout=READ) as answer:
        return answer.status == 206


def _stream(system: Any, path: str, size: int, out: Any, progress: Progress | None) -> None:
    """The whole file from its beginning."""
    out.truncate(0)
    with system.open(path, "rb", block_size=0) as stream:
        while block := stream.read(BLOCK):
            out.write(block)
            if progress and size:
                progress(out.tell(), size)
    if size and out.tell() != size:
        raise UserError(f"{path} broke off after {out.tell()} of {size} bytes: run it again.")


def _copy(system: Any, path: str, size: int, out: Any, progress: Progress | None) -> None:
    """Append what is missing; a break is survived as long as the tries bring something now and then."""
    failed = 0
    while (start := out.tell()) < size:
        try:
            block = system.cat_file(path, start=start, end=min(start + BLOCK, size))
        except Exception:
            block = b""
            if failed + 1 >= TRIES:
                raise
        if not block or len(block) > BLOCK:
            failed += 1
            if failed >= TRIES:
                raise UserError(f"{path} is not given in parts as it should be: try again, or download it by hand.")
            time.sleep(failed)
            continue
        failed = 0
        out.write(block)
        if progress:
            progress(out.tell(), size)
    if out.tell() > size:
        out.truncate(0)
        raise UserError(f"{path} gave more bytes than its size of {size}: run it again.")


def _fetch_prefix(
    system: Any, path: str, found: dict[str, dict[str, Any]], folder: Path, progress: Progress | None
) -> Path:
    """All objects below a prefix; objects that are gone there are removed here."""
    root = folder / (PurePosixPath(path).name or "data")
    total = sum(info["size"] for info in found.values())
    done, kept = 0, set()
    for name, info in sorted(found.items()):
        relative = PurePosixPath(name.removeprefix(path).lstrip("/"))
        if name.endswith("/") or relative.is_absolute() or ".." in relative.parts:
            continue
        target = root / relative
        before = done

        def move(part: int, _: int, before: int = before) -> None:
            if progress:
                progress(before + part, total)

        _fetch_file(system, name, info, folder / "marks" / relative, move)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(folder / "marks" / relative, target)
        kept.add(target)
        done += info["size"]
    for present in [path for path in root.rglob("*") if path.is_file() and path not in kept]:
        present.unlink()
    return root


def _check(path: Path, address: str, sha256: str | None) -> None:
    """Raise UserError, and forget the file, when it has another hash, or is a page where an archive was asked for."""
    with path.open("rb") as stream:
        head = stream.read(64)
        if sha256 is not None:
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if digest != sha256.lower():
                path.unlink()
                raise UserError(
                    f"{address} has the hash {digest}, not {sha256}: check the hash, or do not trust the file."
                )
    if suffix(path.name) in (*ARCHIVES, *SETS) and head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        path.unlink()
        raise UserError(f"{address} gave a web page instead of a file: give the address of the file itself.")


def _explained(source: str, address: str, error: Exception) -> UserError:
    """An error of the net as one sentence."""
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    text = " ".join(str(deepest).split())[:160].rstrip(".") or type(deepest).__name__
    kind = type(error).__name__
    advice = "check the address and the network, then run it again: it continues where it stopped"
    denied = kind == "NoCredentialsError" or isinstance(error, PermissionError) or "403" in text or "Credential" in text
    if denied and address.startswith("http"):
        advice = "the server does not give it to everybody: download it by hand, and name the file"
    elif denied:
        advice = (
            "check the credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and the bucket's rules"
        )
    elif isinstance(error, FileNotFoundError) and deepest is error:
        advice = "check the address"
    elif isinstance(error, OSError) and error.errno == 28:
        advice = f"free some space, or set GAN3D_CACHE to another folder than {cache_folder()}"
    advice = INSTEAD.get(source, advice)
    name = f"{source} ({address})" if source != address else address
    return UserError(f"{name} cannot be downloaded ({text}): {advice}.")
