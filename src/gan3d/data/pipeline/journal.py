"""The results of a run, written to disk as they arrive so that an interrupted run can resume.

FOLDER/results    records: number of the item, kind, length and checksum (20 bytes), then the content
FOLDER/key        what the results depend on; results with another key are discarded
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

_HEADER = struct.Struct("<QBxxxII")
_EMPTY, _GRID, _REJECT = range(3)


class Journal:
    """Results by item number; grids stay on disk. Use it in a `with` block.

    The folder is deleted at the end of the block, even after an error if all results are present, since a rerun would
    give the same error. It is kept if the run is interrupted: by a kill, a full disk, or lost workers.

    Raises:
        UserError: if another process is using it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.grids: dict[int, tuple[int, int]] = {}  # offset and length of each
        self.others: dict[int, Result] = {}  # rejects and empty grids
        self.stream: IO[bytes] | None = None
        self.total = 0  # results of a complete run
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        self.lock = FileLock(folder / "lock", timeout=0)
        try:
            self.lock.acquire()
        except Timeout:
            raise UserError(
                f"{folder} is in use: another process is preparing the same data; wait until it ends."
            ) from None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.stream:
            self.stream.close()
        interrupted = kind is not None and (not issubclass(kind, Exception) or 0 < len(self) < self.total)
        if not interrupted:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.release()

    def open(self, key: str, total: int) -> None:
        """Load the results of an earlier run with the same key, or start afresh; `total` is the number of items."""
        self.total = total
        stamp, path = self.folder / "key", self.folder / "results"
        if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == key):
            path.unlink(missing_ok=True)
            stamp.write_text(key, encoding="utf-8")
        self.stream = path.open("a+b")
        self.stream.seek(0)
        end = 0
        for number, kind, content in self._records(self.stream):
            self._index(number, kind, content, end)
            end += _HEADER.size + len(content)
        self.stream.truncate(end)
        self.stream.seek(end)

    def _records(self, stream: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
        """Complete records only: a killed process may leave a partial one at the end."""
        while len(header := stream.read(_HEADER.size)) == _HEADER.size:
            number, kind, length, checksum = _HEADER.unpack(header)
            content = stream.read(length)
            if len(content) < length or zlib.crc32(content) != checksum:
                return
            yield number, kind, content

    def _index(self, number: int, kind: int, content: bytes, start: int) -> None:
        if kind == _GRID:
            self.grids[number] = start + _HEADER.size, len(content)
        else:
            self.others[number] = None if kind == _EMPTY else tuple(json.loads(content))

    def __contains__(self, number: int) -> bool:
        return number in self.grids or number in self.others

    def __len__(self) -> int:
        return len(self.grids) + len(self.others)

    def add(self, number: int, result: Result) -> None:
        """Append a result; raises OSError if the disk is full."""
        assert self.stream is not None
        if isinstance(result, bytes):
            kind, content = _GRID, result
        else:
            kind, content = (_EMPTY, b"") if result is None else (_REJECT, json.dumps(result).encode())
        start = self.stream.tell()
        self.stream.write(_HEADER.pack(number, kind, len(content), zlib.crc32(content)) + content)
        self._index(number, kind, content, start)

    def flush(self) -> None:
        if self.stream:
            self.stream.flush()

    def result(self, number: int) -> Result:
        """The result of an item; a grid is read from disk."""
        return self.others[number] if number in self.others else self.grid(number)

    def grid(self, number: int) -> bytes:
        """The packed grid of an item, read from disk."""
        assert self.stream is not None
        offset, length = self.grids[number]
        return os.pread(self.stream.fileno(), length, offset)
