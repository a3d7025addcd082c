"""Which extensions are meshes, grids, sets of grids and archives; what a file looks like, whatever its name says."""

from pathlib import PurePosixPath

MESHES = (".off", ".obj", ".ply", ".stl", ".glb", ".gltf")
GRIDS = (".binvox", ".mat", ".npy", ".vox", ".nii", ".nii.gz")
SETS = (".npz", ".h5", ".hdf5")  # may hold many grids; so may .npy
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
KNOWN = ", ".join((*MESHES, *GRIDS, *SETS))
LARGEST = 2**30  # bytes of one file; beyond it a file is not read

_DOUBLE = (".nii.gz", ".tar.gz", ".tar.bz2", ".tar.xz")
_MAGIC = {
    b"OFF": "OFF",
    b"ply": "PLY",
    b"glTF": "GLB",
    b"#binvox": "binvox",
    b"MATLAB 5.0": "MAT",
    b"\x93NUMPY": "NPY",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"VOX ": "MagicaVoxel",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "GZIP",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"%PDF": "PDF",
    b"<!DOCTYPE": "HTML",
    b"<html": "HTML",
    b"version https://git-lfs": "a Git LFS pointer",
    b"v ": "OBJ",
}


def suffix(name: str) -> str:
    """The extension in lower case, `.nii.gz` and `.tar.gz` as one."""
    lower = name.lower()
    return next((double for double in _DOUBLE if lower.endswith(double)), PurePosixPath(lower).suffix)


def stem(name: str) -> str:
    """The last part of a path without its extension."""
    last = name.rsplit("/", 1)[-1]
    return last[: len(last) - len(suffix(last))] or last


def looks_like(content: bytes) -> str | None:
    """The format that the first bytes speak of, or None."""
    return next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), None)
