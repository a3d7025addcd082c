"""Results of a run on disk as they come, so that a run that was killed goes on where it stopped.

FOLDER/results    records: number of the item, kind, length and checksum (20 bytes), then the content
FOLDER/key        what the results belong to; with another key they are dropped
"""

import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from gan3d.data.pipeline.convert import Result
from gan3d.errors import UserError

_HEAD = struct.Struct("<QBxxxII")
_EMPTY, _GRID, _REJECT = range(3)


class Journal:
    """Results by item number; grids stay on disk. Use it in a `with` block.

    The folder is removed when the block ends, also with an error once all results are there, which would come again; it
    stays when the work is broken off: by a kill, a full disk, or workers that are lost.

    Raises:
        UserError: when another process is writing it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.places: dict[int, tuple[int, int]] = {}  # of grids: offset, length
        self.others: dict[int, Result] = {}
        self.stream: IO[bytes] | None = None
        self.total = 0  # results of the whole run
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        self.lock = FileLock(folder / "lock", timeout=0)
        try:
            self.lock.acquire()
        except Timeout:
            raise UserError(
                f"{folder} is in use: another process prepares the same data, wait until it ends."
            ) from None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.stream:
            self.stream.close()
        broken_off = kind is not None and (not issubclass(kind, Exception) or 0 < len(self) < self.total)
        if not broken_off:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.release()

    def open(self, key: str, total: int) -> None:
        """Take up the results of a run with the same key, or begin anew; `total` there will be."""
        self.total = total
        stamp, path = self.folder / "key", self.folder / "results"
        if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == key):
            path.unlink(missing_ok=True)
            stamp.write_text(key, encoding="utf-8")
        self.stream = path.open("a+b")
        self.stream.seek(0)
        end = 0
        for number, kind, content in self._records(self.stream):
            self._note(number, kind, content, end)
            end += _HEAD.size + len(content)
        self.stream.truncate(end)
        self.stream.seek(end)

    def _records(self, stream: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
        """Whole records alone: a process that is killed leaves half a one at the end."""
        while len(head := stream.read(_HEAD.size)) == _HEAD.size:
            number, kind, length, checksum = _HEAD.unpack(head)
            content = stream.read(length)
            if len(content) < length or zlib.crc32(content) != checksum:
                return
            yield number, kind, content

    def _note(self, number: int, kind: int, content: bytes, start: int) -> None:
        if kind == _GRID:
            self.places[number] = start + _HEAD.size, len(content)
        else:
            self.others[number] = None if kind == _EMPTY else tuple(json.loads(content))

    def __contains__(self, number: int) -> bool:
        return number in self.places or number in self.others

    def __len__(self) -> int:
        return len(self.places) + len(self.others)

    def add(self, number: int, result: Result) -> None:
        """Write a result; raises OSError when the disk is full."""
        assert self.stream is not None
        if isinstance(result, bytes):
            kind, content = _GRID, result
        else:
            kind, content = (_EMPTY, b"") if result is None else (_REJECT, json.dumps(result).encode())
        start = self.stream.tell()
        self.stream.write(_HEAD.pack(number, kind, len(content), zlib.crc32(content)) + content)
        self._note(number, kind, content, start)

    def flush(self) -> None:
        if self.stream:
            self.stream.flush()

    def result(self, number: int) -> Result:
        """A result; a grid is read from disk."""
        return self.others[number] if number in self.others else self.grid(number)

    def grid(self, number: int) -> bytes:
        """A packed grid, from disk."""
        assert self.stream is not None
        offset, length = self.places[number]
        return os.pread(self.stream.fileno(), length, offset)
