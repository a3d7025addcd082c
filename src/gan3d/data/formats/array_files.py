"""Arrays in files by key (.npz, .npy, HDF5): their headers, small arrays whole, large ones row by row."""

import io
import math
import zipfile
from typing import IO, Any, cast

import numpy as np

from gan3d.data.formats.binvox import MAX_VOXELS
from gan3d.data.formats.extensions import suffix
from gan3d.data.formats.readers import UnreadableFile, npy_header

MAX_OBJECT_BYTES = 2**26  # of a pickled array of labels or names
DAMAGED = UnreadableFile("It is damaged.", "Export or download it again.")


_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES encryption"}


def compression_fault(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Reason and advice if a member of a zip is compressed by a method that Python cannot read."""
    if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        return None
    method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
    return (
        f"It is compressed with {method}, which Python cannot read.",
        "Extract it and zip it again with Deflate, or name the extracted folder.",
    )


class ArrayFile:
    """The arrays of one file; a damaged file may raise any exception. Use it in a `with` block."""

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.keys: list[str] = []

    def __enter__(self) -> "ArrayFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def header(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and dtype of an array."""
        raise NotImplementedError

    def read(self, key: str) -> np.ndarray:
        """A whole array; raises `UnreadableFile` above MAX_VOXELS bytes."""
        raise NotImplementedError

    def read_objects(self, key: str) -> bytes:
        """The pickle of an array of Python objects, for a reader that does not run it."""
        raise NotImplementedError

    def read_rows(self, key: str, start: int, stop: int) -> np.ndarray:
        """Rows of an array along its first axis."""
        raise NotImplementedError


class _Npz(ArrayFile):
    def __init__(self, file: IO[bytes]):
        super().__init__(file)
        self.archive = zipfile.ZipFile(self.file)
        for info in self.archive.infolist():
            if fault := compression_fault(info):
                raise UnreadableFile(*fault)
        self.keys = [entry.removesuffix(".npy") for entry in self.archive.namelist() if entry.endswith(".npy")]
        self._prepare()

    def _prepare(self) -> None:
        self.headers: dict[str, tuple[tuple[int, ...], np.dtype, bool]] = {}
        self.stream: tuple[str, IO[bytes], int] | None = None  # key, its data, the next row
        self.loaded: tuple[str, np.ndarray] | None = None

    def _open(self, key: str) -> IO[bytes]:
        return self.archive.open(f"{key}.npy")

    def header(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        shape, dtype, _ = self._full_header(key)
        return shape, dtype

    def _full_header(self, key: str) -> tuple[tuple[int, ...], np.dtype, bool]:
        """Shape, dtype, and whether the order is Fortran's."""
        if key not in self.headers:
            with self._open(key) as stream:
                header = npy_header(stream)
            if header[0] and header[0][0] > self._size(key):  # more rows than bytes
                raise DAMAGED
            self.headers[key] = header
        return self.headers[key]

    def _size(self, key: str) -> int:
        """Bytes of an array, including its header."""
        return self.archive.getinfo(f"{key}.npy").file_size

    def read(self, key: str) -> np.ndarray:
        shape, dtype = self.header(key)
        if math.prod(shape) * dtype.itemsize > MAX_VOXELS:
            raise DAMAGED
        with self._open(key) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    def read_objects(self, key: str) -> bytes:
        with self._open(key) as stream:
            npy_header(stream)
            content = stream.read(MAX_OBJECT_BYTES + 1)
        if len(content) > MAX_OBJECT_BYTES:
            raise DAMAGED
        return content

    def read_rows(self, key: str, start: int, stop: int) -> np.ndarray:
        shape, dtype, fortran = self._full_header(key)
        if not fortran:
            return self._read_forward(key, shape, dtype, start, stop)
        if self.loaded is None or self.loaded[0] != key:
            with self._open(key) as stream:
                self.loaded = key, np.lib.format.read_array(stream, allow_pickle=False)
        return self.loaded[1][start:stop]

    def _read_forward(self, key: str, shape: tuple[int, ...], dtype: np.dtype, start: int, stop: int) -> np.ndarray:
        """Continue reading the compressed stream; rows before `start` are discarded one by one."""
        if self.stream is None or self.stream[0] != key or self.stream[2] > start:
            stream = self._open(key)
            npy_header(stream)
            self.stream = key, stream, 0
        _, stream, position = self.stream
        row = math.prod(shape[1:]) * dtype.itemsize
        for skipped in range(position, start):
            self._read_exactly(stream, row, skipped)
        content = b"".join(self._read_exactly(stream, row, index) for index in range(start, stop))
        self.stream = key, stream, stop
        return np.frombuffer(content, dtype).reshape(-1, *shape[1:])

    def _read_exactly(self, stream: IO[bytes], count: int, row: int) -> bytes:
        content = stream.read(count)
        if len(content) != count:
            self.stream = None
            raise EOFError(f"it ends before row {row}")
        return content


class _Npy(_Npz):
    """A single .npy, read as an archive of one array with the key ''."""

    def __init__(self, file: IO[bytes]):
        ArrayFile.__init__(self, file)
        self.keys = [""]
        self._prepare()

    def _open(self, key: str) -> IO[bytes]:
        self.file.seek(0)
        return cast(IO[bytes], _Unclosed(self.file))

    def _size(self, key: str) -> int:
        return self.file.seek(0, io.SEEK_END)


class _Unclosed(io.RawIOBase):
    """A view of a stream that leaves the stream open when it is closed."""

    def __init__(self, file: IO[bytes]):
        self.inner = file

    def read(self, size: int = -1) -> bytes:
        return self.inner.read(size)


class _Hdf5(ArrayFile):
    """Plain datasets only: links and storage outside the file are ignored."""

    def __init__(self, file: IO[bytes]):
        import h5py

        super().__init__(file)
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

    def header(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        dataset = self.root[key]
        return tuple(dataset.shape or ()), dataset.dtype if dataset.dtype.kind != "O" else np.dtype("S1")

    def read(self, key: str) -> np.ndarray:
        dataset = self.root[key]
        if dataset.size * max(dataset.dtype.itemsize, 1) > MAX_VOXELS:
            raise DAMAGED
        return np.asarray(dataset[()])

    def read_rows(self, key: str, start: int, stop: int) -> np.ndarray:
        return np.asarray(self.root[key][start:stop])


def open_arrays(file: IO[bytes], name: str) -> ArrayFile:
    """Open the arrays of a seekable file; the extension of `name` decides the format.

    Raises:
        UnreadableFile: if it is damaged.
    """
    kind = {".npz": _Npz, ".npy": _Npy}.get(suffix(name), _Hdf5)
    try:
        return kind(file)
    except (UnreadableFile, MemoryError):
        raise
    except Exception as error:  # zipfile and HDF5 raise many types on a damaged file
        raise DAMAGED from error
