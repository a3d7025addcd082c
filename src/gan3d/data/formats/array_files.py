"""Arrays in files, by key: their heads, whole small ones, and blocks of rows of large ones (.npz, .npy, HDF5)."""

import io
import math
import zipfile
from typing import IO, Any, cast

import numpy as np

from gan3d.data.formats.binvox import LIMIT
from gan3d.data.formats.extensions import suffix
from gan3d.data.formats.readers import Unreadable, npy_header
from gan3d.data.sources.archives import Place

DAMAGED = Unreadable("It is damaged.", "Export or download it again.")


class Store:
    """What the formats have in common; errors of any kind may come out of a damaged file."""

    def __init__(self, place: Place):
        self.file = place.open()
        self.keys: list[str] = []

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def head(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        raise NotImplementedError

    def whole(self, key: str) -> np.ndarray:
        raise NotImplementedError

    def block(self, key: str, start: int, stop: int) -> np.ndarray:
        """Rows of an array, all with the first axis."""
        raise NotImplementedError


class _Npz(Store):
    def __init__(self, place: Place):
        super().__init__(place)
        self.archive = zipfile.ZipFile(self.file)
        self.keys = [entry.removesuffix(".npy") for entry in self.archive.namelist() if entry.endswith(".npy")]
        self.heads: dict[str, tuple[tuple[int, ...], np.dtype, bool]] = {}
        self.stream: tuple[str, IO[bytes], int] | None = None  # key, its data, the row that comes next
        self.held: tuple[str, np.ndarray] | None = None

    def _open(self, key: str) -> IO[bytes]:
        return self.archive.open(f"{key}.npy")

    def head(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        shape, dtype, _ = self._head(key)
        return shape, dtype

    def _head(self, key: str) -> tuple[tuple[int, ...], np.dtype, bool]:
        """Shape, type, and whether the first axis runs fastest."""
        if key not in self.heads:
            with self._open(key) as stream:
                head = npy_header(stream)
            if head[0] and head[0][0] > self._size(key):  # more rows than bytes
                raise DAMAGED
            self.heads[key] = head
        return self.heads[key]

    def _size(self, key: str) -> int:
        """Bytes of an array, head included."""
        return self.archive.getinfo(f"{key}.npy").file_size

    def whole(self, key: str) -> np.ndarray:
        shape, dtype = self.head(key)
        if math.prod(shape) * dtype.itemsize > LIMIT:
            raise DAMAGED
        with self._open(key) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    def block(self, key: str, start: int, stop: int) -> np.ndarray:
        shape, dtype, fortran = self._head(key)
        if not fortran:
            return self._forward(key, shape, dtype, start, stop)
        if self.held is None or self.held[0] != key:
            with self._open(key) as stream:
                self.held = key, np.lib.format.read_array(stream, allow_pickle=False)
        return self.held[1][start:stop]

    def _forward(self, key: str, shape: tuple[int, ...], dtype: np.dtype, start: int, stop: int) -> np.ndarray:
        """Read on in the compressed stream: rows before `start` are passed over, never kept."""
        if self.stream is None or self.stream[0] != key or self.stream[2] > start:
            stream = self._open(key)
            npy_header(stream)
            self.stream = key, stream, 0
        _, stream, position = self.stream
        row = math.prod(shape[1:]) * dtype.itemsize
        for skipped in range(position, start):
            self._exactly(stream, row, skipped)
        content = b"".join(self._exactly(stream, row, index) for index in range(start, stop))
        self.stream = key, stream, stop
        return np.frombuffer(content, dtype).reshape(-1, *shape[1:])

    def _exactly(self, stream: IO[bytes], count: int, row: int) -> bytes:
        content = stream.read(count)
        if len(content) != count:
            self.stream = None
            raise EOFError(f"ends before row {row}")
        return content


class _Npy(_Npz):
    """A lone .npy is read as an archive of one array, named ''."""

    def __init__(self, place: Place):
        Store.__init__(self, place)
        self.keys = [""]
        self.heads, self.stream, self.held = {}, None, None

    def _open(self, key: str) -> IO[bytes]:
        self.file.seek(0)
        return cast(IO[bytes], _Kept(self.file))

    def _size(self, key: str) -> int:
        return self.file.seek(0, io.SEEK_END)


class _Kept(io.RawIOBase):
    """A stream whose end does not close the file below."""

    def __init__(self, file: IO[bytes]):
        self.below = file

    def read(self, size: int = -1) -> bytes:
        return self.below.read(size)


class _Hdf5(Store):
    """Plain datasets alone: links and storage outside the file are passed over."""

    def __init__(self, place: Place):
        import h5py

        super().__init__(place)
        self.root = h5py.File(self.file, "r")
        self._collect(self.root, "", 0)

    def _collect(self, group: Any, prefix: str, depth: int) -> None:
        import h5py

        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            inner = group[name]
            if isinstance(inner, h5py.Dataset) and not inner.is_virtual and inner.external is None:
                self.keys.append(prefix + name)
            elif isinstance(inner, h5py.Group) and depth < 4:
                self._collect(inner, f"{prefix}{name}/", depth + 1)

    def head(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        dataset = self.root[key]
        return tuple(dataset.shape or ()), dataset.dtype if dataset.dtype.kind != "O" else np.dtype("S1")

    def whole(self, key: str) -> np.ndarray:
        dataset = self.root[key]
        if dataset.size * max(dataset.dtype.itemsize, 1) > LIMIT:
            raise DAMAGED
        return np.asarray(dataset[()])

    def block(self, key: str, start: int, stop: int) -> np.ndarray:
        return np.asarray(self.root[key][start:stop])


def opened(place: Place, name: str) -> Store:
    """The arrays of a file, whose name decides the format; raises `Unreadable`."""
    kind = {".npz": _Npz, ".npy": _Npy}.get(suffix(name), _Hdf5)
    try:
        return kind(place)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # zipfile and HDF5 fail in many ways on a damaged file
        raise DAMAGED from error
