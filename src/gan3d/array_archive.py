"""Read arrays from a file of unknown origin: compare its directory with what is expected, then read no more than that.

`numpy.load` expands whatever a member claims to hold. Here the names, types, shapes and sizes of an .npz are checked
against the expected ones before a byte is expanded. Memory and time are bounded by the expected arrays.
"""

import ast
import math
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from gan3d.errors import UserError, short_list

HEADER = 4096  # bytes of a member's longest header; the arrays here have up to 5 axes
DIRECTORY = 2**20  # bytes of an archive's longest directory, far above that of the deepest network
COMPRESSION = 32  # trained weights shrink by a tenth, constant arrays a thousandfold
BLOCK = 2**24  # bytes read at once
END, END_SIZE, COMMENT = b"PK\5\6", 22, 2**16  # the record at a zip's end, its size, and the longest comment after it


class ArrayType(NamedTuple):
    """What one array must be.

    Attributes:
        shape: with `any_length`, an array with one axis may be shorter.
        dtypes: the types it may have.
    """

    shape: tuple[int, ...]
    dtypes: tuple[str, ...] = ("<f4",)
    any_length: bool = False

    def fits(self, shape: object) -> bool:
        """Whether a shape is as expected."""
        if not isinstance(shape, tuple) or any(type(n) is not int for n in shape):
            return False
        return shape == self.shape or (self.any_length and len(shape) == 1 and 0 <= shape[0] <= self.shape[0])

    def sizes(self) -> tuple[int, int]:
        """The fewest and the most bytes."""
        sizes = [_bytes(self.shape, dtype) for dtype in self.dtypes]
        return 0 if self.any_length else min(sizes), max(sizes)


def open_plain(path: Path, advice: str = "check the path and its permissions") -> IO[bytes]:
    """Open a regular file, through links as well; a pipe or a device is refused without waiting for it.

    Raises:
        UserError: if the path is something else, missing, or may not be read.
    """
    try:
        _check_regular(path, path.stat())
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        stream = os.fdopen(descriptor, "rb")
        try:
            _check_regular(path, os.fstat(stream.fileno()))
        except UserError:
            stream.close()
            raise
        return stream
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a null byte in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{path} cannot be read ({reason}): {advice}.") from error


def read_plain(path: Path, limit: int, advice: str = "check the path and its permissions") -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        UserError: as `open_plain`, or if the file is larger.
    """
    with open_plain(path, advice) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise UserError(f"{path} is larger than {limit:,} bytes: it is not what its name says.")
    return content


def read_arrays(path: Path, expected: Mapping[str, ArrayType], advice: str) -> dict[str, np.ndarray]:
    """Read an .npz that must hold exactly the expected arrays.

    Args:
        advice: what to do about a file that holds something else; the end of the message.

    Returns:
        The arrays in the order of the file.

    Raises:
        UserError: one sentence that names the file and what is wrong with it.
    """
    with open_plain(path, advice) as stream:
        try:
            return extract_arrays(stream, expected)
        except UserError as error:
            raise UserError(f"{path} {error}: {advice}.") from error.__cause__


def extract_arrays(stream: IO[bytes], expected: Mapping[str, ArrayType]) -> dict[str, np.ndarray]:
    """The arrays of an .npz, as `read_arrays`.

    Raises:
        UserError: what is wrong, as the rest of a sentence about the file.
    """
    try:
        size = _check_directory_size(stream)
        with ZipFile(stream) as archive:
            members = _members(archive.infolist(), expected)
            _check_sizes(members, expected, size)
            headers = {name: _read_header(archive, member, name, expected[name]) for name, member in members.items()}
            return {name: _read_array(archive, member, headers[name]) for name, member in members.items()}
    except UserError:
        raise
    except Exception as error:  # zipfile and zlib raise many kinds for hostile input
        reason = " ".join(str(error).split())[:160].rstrip(".") or type(error).__name__
        raise UserError(f"is damaged ({reason if reason.isprintable() else ascii(reason)})") from error


class _Header(NamedTuple):
    size: int
    shape: tuple[int, ...]
    dtype: str
    fortran: bool


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is not a regular file: name a folder that holds the files themselves.")


def _check_directory_size(stream: IO[bytes]) -> int:
    """Bound the zip's directory, which `ZipFile` reads as a whole, with an object for each entry; the file's size."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - END_SIZE - COMMENT))
    tail = stream.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < END_SIZE:
        raise UserError("is not an archive of arrays, or is cut off")
    claimed = int.from_bytes(tail[at + 12 : at + 16], "little")
    if claimed > DIRECTORY or tail.rfind(b"PK\6\6") >= 0 or tail.rfind(b"PK\6\7") >= 0:
        raise UserError("has a directory that is too large for a model's arrays")
    stream.seek(0)
    return size


def _members(entries: Sequence[ZipInfo], expected: Mapping[str, ArrayType]) -> dict[str, ZipInfo]:
    """The members by array name; exactly the expected ones."""
    members = {entry.filename.removesuffix(".npy"): entry for entry in entries}
    missing = [name for name in expected if name not in members]
    extra = [name for name in members if name not in expected]
    if missing:
        raise UserError(f"lacks the array{_plural(missing)} {short_list(missing)}")
    if extra or len(entries) != len(members):
        extra = extra or [entry.filename for entry in entries]
        raise UserError(f"holds the array{_plural(extra)} {short_list(extra)}, unknown here")
    return members


def _check_sizes(members: Mapping[str, ZipInfo], expected: Mapping[str, ArrayType], size: int) -> None:
    for name, member in members.items():
        low, high = expected[name].sizes()
        if not low <= member.file_size <= high + HEADER:
            raise UserError(f"has {member.file_size:,} bytes in {name}, where {high:,} are expected")
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or member.flag_bits & 1:
            raise UserError(f"has {name} in a compression or encryption that gan3d does not use")
    stored = min(size, sum(member.compress_size for member in members.values()))
    full = sum(member.file_size for member in members.values())
    if full > COMPRESSION * stored + BLOCK:
        raise UserError(f"expands {stored:,} bytes to {full:,}, which trained weights never do")


def _read_header(archive: ZipFile, member: ZipInfo, name: str, expected: ArrayType) -> _Header:
    """Check a member's .npy header against what is expected."""
    with archive.open(member) as stream:
        start = stream.read(12)
        width = {b"\1\0": 2, b"\2\0": 4, b"\3\0": 4}.get(start[6:8], 0)
        length = int.from_bytes(start[8 : 8 + width], "little")
        if start[:6] != b"\x93NUMPY" or not width or length > HEADER:
            raise UserError(f"has no array in {name}")
        header = (start[8 + width :] + stream.read(length - (4 - width)))[:length]
    try:
        fields = ast.literal_eval(header.decode("latin-1").strip())
        shape, dtype, fortran = fields["shape"], fields["descr"], fields["fortran_order"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise UserError(f"has no array in {name}") from None
    if not expected.fits(shape):
        raise UserError(f"has the shape {_brief(shape)} in {name}, where {expected.shape} is expected")
    if dtype not in expected.dtypes or type(fortran) is not bool:
        wanted = " or ".join(np.dtype(each).name for each in expected.dtypes)
        raise UserError(f"has numbers of type {_brief(dtype)} in {name}, where {wanted} is expected")
    size = 8 + width + length
    if member.file_size != size + _bytes(shape, dtype):
        raise UserError(f"has {member.file_size:,} bytes in {name}, where {size + _bytes(shape, dtype):,} are expected")
    return _Header(size, shape, dtype, fortran)


def _read_array(archive: ZipFile, member: ZipInfo, header: _Header) -> np.ndarray:
    """The values of a member whose header was checked."""
    shape = header.shape
    values = np.empty(math.prod(shape), header.dtype)
    buffer = values.view(np.uint8)
    with archive.open(member) as stream:
        stream.read(header.size)
        done = 0
        while done < len(buffer):
            block = stream.read(min(BLOCK, len(buffer) - done))
            if not block:
                raise EOFError("it ends early")
            buffer[done : done + len(block)] = np.frombuffer(block, np.uint8)
            done += len(block)
    return values.reshape(shape[::-1]).transpose() if header.fortran else values.reshape(shape)


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _plural(names: Sequence[str]) -> str:
    return "s" if len(names) > 1 else ""


def _brief(value: object) -> str:
    return ascii(value)[:80]
