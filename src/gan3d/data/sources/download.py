"""Sources at an address: https:// and s3:// (also other servers that speak S3), through fsspec, into a cache on disk.

An interrupted download resumes if the file on the server has not changed. CACHE/<address>-<version>/ holds the file
under its own name, `<name>.origin.json` with the address and the version that the server reports, and, during a
download, `<name>.partial`. The folder's name hashes the address without user, password and query: a renewed signature
of the same content downloads nothing. User and password go into the Authorization header, and nowhere else.
"""

import base64
import errno
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

from filelock import FileLock

from gan3d.addresses import Address, mask, parse_address, split_address
from gan3d.data.formats.extensions import ARCHIVES, ARRAY_SETS, suffix
from gan3d.data.sources.named import NAMED_SOURCES
from gan3d.errors import UserError

BLOCK = 4 * 2**20  # bytes per request
MAX_ATTEMPTS = 4  # in a row without a single new byte
CONNECT_TIMEOUT, READ_TIMEOUT = 5, 30  # seconds
ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"
Progress = Callable[[int, int], None]  # called with (bytes done, bytes in total)


def is_address(source: str) -> bool:
    """Whether a source must be downloaded: an address, or the name of one."""
    return source in NAMED_SOURCES or source.lower().startswith(("https://", "http://", "s3://"))


def _address(source: str) -> str:
    """The address of a source, which may be a name."""
    return NAMED_SOURCES[source].address if source in NAMED_SOURCES else source


def cache_folder() -> Path:
    """The folder of downloads: GAN3D_CACHE, or gan3d in the user's cache."""
    given = os.environ.get("GAN3D_CACHE")
    try:
        return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gan3d"
    except RuntimeError:
        raise UserError("there is no home folder to keep downloads in: set GAN3D_CACHE to a folder.") from None


def fetch(
    source: str,
    cache: Path | None = None,
    sha256: str | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download an address, or reuse the cached copy if the server still has the same version.

    Args:
        source: an address, or a name from `gan3d.data.sources.named`. An s3:// address that ends in a slash, or is not
            an object, is a prefix and becomes a folder.
        cache: where to; `cache_folder()` by default.
        sha256: the expected hash of the file; not for a prefix.
        endpoint: URL of a server that speaks S3; AWS_ENDPOINT_URL by default.
        progress: called after each block.

    Returns:
        The path of the file or folder in the cache.

    Raises:
        UserError: if the address cannot be read, the disk is full, or the hash differs.
    """
    address = _address(source)
    parsed = parse_address(address)
    parts = split_address(parsed.url)
    if not (parts and parts.hostname):
        raise UserError(f"{mask(source)} names no server: write it as https://host/file.zip or s3://bucket/prefix/.")
    place, key = cache or cache_folder(), _key(parsed.identity, endpoint or "")
    folder = place / key
    try:
        system, path = _open_filesystem(parsed, endpoint)
        found = system.find(path.rstrip("/"), detail=True) if address.startswith("s3://") else {}
        if found and (address.endswith("/") or list(found) != [path]):
            if sha256:
                raise UserError(f"{address} is a prefix, which has no hash: leave out the hash.")
            return _fetch_prefix(system, path.rstrip("/"), found, folder, progress, parsed)
        info = system.info(path)
        folder = place / f"{key}-{_key(json.dumps(_version(info)))}"
        result = folder / (PurePosixPath(parts.path).name or "data")
        _fetch_file(system, path, info, result, progress, parsed)
    except UserError:
        raise
    except Exception as error:  # botocore, aiohttp and fsspec share no base class
        raise _as_user_error(source, address, error) from error
    _verify(result, address, sha256)
    if "?" not in parsed.url:  # a query may choose among several files at one address
        _remove_older(place, key, folder)
    return result


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _remove_older(place: Path, key: str, newest: Path) -> None:
    """Remove the earlier versions of an address."""
    for folder in place.glob(f"{key}-*"):
        if folder != newest:
            shutil.rmtree(folder, ignore_errors=True)


def content_version(source: str, endpoint: str | None = None) -> str:
    """A hash of what the server says of an address's content: size, ETag, time of the last change.

    Raises:
        UserError: if the server does not answer.
    """
    address = _address(source)
    try:
        system, path = _open_filesystem(parse_address(address), endpoint)
        found = system.find(path.rstrip("/"), detail=True) if address.startswith("s3://") else {}
        versions = {name: _version(info) for name, info in found.items()} or {"": _version(system.info(path))}
    except Exception as error:  # botocore, aiohttp and fsspec share no base class
        raise _as_user_error(source, address, error) from error
    return _key(json.dumps(versions, sort_keys=True))


def deliver(path: Path, out: Path) -> Path:
    """Copy a fetched file or folder to OUT atomically; returns OUT.

    Raises:
        UserError: if OUT exists.
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


def _open_filesystem(address: Address, endpoint: str | None) -> tuple[Any, str]:
    """The fsspec file system of an address, with short timeouts, and the path in it."""
    import fsspec

    if address.url.startswith("s3://"):
        url = endpoint or os.environ.get(ENDPOINT_VARIABLE)
        timeouts = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT}
        options = {
            "client_kwargs": {"endpoint_url": url} if url else {},
            "config_kwargs": {**timeouts, "retries": {"max_attempts": 1}},
            "skip_instance_cache": True,
        }
        system = fsspec.filesystem("s3", **options)
        if hasattr(system, "retries"):
            system.retries = 1
        return system, address.url.removeprefix("s3://")
    from aiohttp import BasicAuth, ClientTimeout

    timeout = ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)
    # for each request rather than the session: aiohttp then keeps the password from a host that it is redirected to
    login = {} if address.user is None else {"auth": BasicAuth(address.user, address.password, "utf-8")}
    options = {"client_kwargs": {"timeout": timeout}, "encoded": "%" in address.url, "skip_instance_cache": True}
    return fsspec.filesystem("https", **options, **login), address.url


def _version(info: dict[str, Any]) -> dict[str, Any]:
    """What identifies the version of a file; with the size alone, two files never count as the same."""
    marks = {
        name: str(info[name]) for name in ("ETag", "etag", "LastModified", "Last-Modified", "mtime") if info.get(name)
    }
    return {"size": info.get("size"), **marks}


def _fetch_file(
    system: Any, path: str, info: dict[str, Any], result: Path, progress: Progress | None, address: Address
) -> None:
    """Download one file; a lock keeps other processes from writing it."""
    result.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(result.parent / f".{result.name}.lock"):
        _fetch_locked(system, path, info, result, progress, address)


def _fetch_locked(
    system: Any, path: str, info: dict[str, Any], result: Path, progress: Progress | None, address: Address
) -> None:
    """Download one file, resuming an interrupted download of the same version."""
    origin, partial = result.parent / f"{result.name}.origin.json", result.parent / f"{result.name}.partial"
    version = {"path": path.partition("?")[0], **_version(info)}
    same = len(version) > 2 and origin.is_file() and origin.read_text(encoding="utf-8") == json.dumps(version)
    if same and result.is_file():
        return
    if not same:
        partial.unlink(missing_ok=True)
        result.unlink(missing_ok=True)
        origin.write_text(json.dumps(version), encoding="utf-8")
    size = info.get("size")
    free = shutil.disk_usage(result.parent).free
    if size and size > free:
        raise UserError(
            f"{path} has {size / 1e9:.1f} GB, but {result.parent} has {free / 1e9:.1f} GB free: free some space."
        )
    with partial.open("ab") as out:
        if path.startswith("http") and not _supports_ranges(address):
            _download_whole(system, path, size or 0, out, progress)
        else:
            _download_ranges(system, path, size or 0, out, progress)
    partial.replace(result)


def _supports_ranges(address: Address) -> bool:
    """Whether a server honours range requests, tested with a request for one byte."""
    request = urllib.request.Request(address.url, headers={"Range": "bytes=0-0"})
    if address.user is not None:
        login = base64.b64encode(f"{address.user}:{address.password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request, timeout=READ_TIMEOUT) as answer:
        return answer.status == 206


def _download_whole(system: Any, path: str, size: int, out: Any, progress: Progress | None) -> None:
    """Download a file from its beginning."""
    out.truncate(0)
    with system.open(path, "rb", block_size=0) as stream:
        while block := stream.read(BLOCK):
            out.write(block)
            if progress and size:
                progress(out.tell(), size)
    if size and out.tell() != size:
        raise UserError(f"{path} stopped after {out.tell()} of {size} bytes: run it again.")


def _download_ranges(system: Any, path: str, size: int, out: Any, progress: Progress | None) -> None:
    """Append the missing bytes, with retries as long as some attempts succeed."""
    failed = 0
    while (start := out.tell()) < size:
        try:
            block = system.cat_file(path, start=start, end=min(start + BLOCK, size))
        except Exception:
            block = b""
            if failed + 1 >= MAX_ATTEMPTS:
                raise
        if not block or len(block) > BLOCK:
            failed += 1
            if failed >= MAX_ATTEMPTS:
                raise UserError(f"the server of {path} mishandles range requests: try again, or download it by hand.")
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
    system: Any,
    path: str,
    found: dict[str, dict[str, Any]],
    folder: Path,
    progress: Progress | None,
    address: Address,
) -> Path:
    """Download all objects below a prefix; objects that were removed there are removed here."""
    root = folder / (PurePosixPath(path).name or "data")
    total = sum(info["size"] for info in found.values())
    done, kept = 0, set()
    for name, info in sorted(found.items()):
        relative = PurePosixPath(name.removeprefix(path).lstrip("/"))
        if name.endswith("/") or relative.is_absolute() or ".." in relative.parts:
            continue
        target = root / relative
        before = done

        def report(bytes_done: int, _: int, before: int = before) -> None:
            if progress:
                progress(before + bytes_done, total)

        _fetch_file(system, name, info, folder / "marks" / relative, report, address)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(folder / "marks" / relative, target)
        kept.add(target)
        done += info["size"]
    for stale in [path for path in root.rglob("*") if path.is_file() and path not in kept]:
        stale.unlink()
    return root


def _verify(path: Path, address: str, sha256: str | None) -> None:
    """Delete the file and raise UserError if its hash differs, or if it is a web page instead of an archive."""
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
    if suffix(path.name) in (*ARCHIVES, *ARRAY_SETS) and head.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        path.unlink()
        raise UserError(f"{address} gave a web page instead of a file: use the address of the file itself.")


def _as_user_error(source: str, address: str, error: Exception) -> UserError:
    """A network error as one sentence with advice."""
    root_cause: BaseException = error
    while root_cause.__cause__ is not None:
        root_cause = root_cause.__cause__
    text = " ".join(mask(str(root_cause), address).split())[:160].rstrip(".") or type(root_cause).__name__
    kind = type(error).__name__
    advice = "check the address and the network, then run it again: the download resumes"
    refused = "403" in text or "401" in text or "Credential" in text
    denied = kind == "NoCredentialsError" or isinstance(error, PermissionError) or refused
    if denied and address.startswith("http"):
        advice = (
            "the server requires a login or another signature: correct it in the address, or download it by hand and"
            " use the file as the source"
        )
    elif denied:
        advice = (
            "check the credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and the bucket's"
            " permissions"
        )
    elif isinstance(error, FileNotFoundError) and root_cause is error:
        advice = "check the address"
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        advice = f"free some space, or set GAN3D_CACHE to another folder than {cache_folder()}"
    advice = NAMED_SOURCES[source].advice if source in NAMED_SOURCES else advice
    name = f"{source} ({address})" if source != address else address
    return UserError(f"{name} cannot be downloaded ({text}): {advice}.")
