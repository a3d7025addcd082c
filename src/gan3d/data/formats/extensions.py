"""Which extensions are meshes, grids, sets of grids and archives; what a file looks like, whatever its name says."""

from pathlib import PurePosixPath

MESHES = (".off", ".obj", ".ply", ".stl", ".glb", ".gltf")
GRIDS = (".binvox", ".mat", ".npy", ".vox", ".nii", ".nii.gz")
SETS = (".npz", ".h5", ".hdf5")  # may hold many grids; so may .npy
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
KNOWN = ", ".join((*MESHES, *GRIDS, *SETS))
_PACKED = (".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".lzma")
LARGEST = 2**30  # bytes of one file; beyond it a file is not read

LFS, PAGE = "a Git LFS pointer", "a web page"
_DOUBLE = (".nii.gz", ".tar.gz", ".tar.bz2", ".tar.xz")
_MAGIC = {  # first bytes, whatever their case -> what they speak of, and the extensions that it may have
    b"off": ("OFF", (".off",)),
    b"ply": ("PLY", (".ply",)),
    b"solid ": ("STL", (".stl",)),
    b"v ": ("OBJ", (".obj",)),
    b"gltf": ("GLB", (".glb", ".gltf")),
    b"#binvox": ("binvox", (".binvox",)),
    b"matlab 5.0": ("MAT", (".mat",)),
    b"matlab 7.3": ("MAT", (".mat",)),
    b"\x93numpy": ("NPY", (".npy",)),
    b"\x89hdf\r\n\x1a\n": ("HDF5", (".h5", ".hdf5", ".mat")),
    b"vox ": ("MagicaVoxel", (".vox",)),
    b"pk\x03\x04": ("ZIP", (".npz", ".zip")),
    b"\x1f\x8b": ("GZIP", (".nii", ".nii.gz")),
    b"\x89png": ("PNG", ()),
    b"\xff\xd8\xff": ("JPEG", ()),
    b"%pdf": ("PDF", ()),
    b"<!doctype html": (PAGE, ()),
    b"<html": (PAGE, ()),
    b"version https://git-lfs": (LFS, ()),
}


def suffix(name: str) -> str:
    """The extension in lower case, `.nii.gz` and `.tar.gz` as one."""
    lower = name.lower()
    return next((double for double in _DOUBLE if lower.endswith(double)), PurePosixPath(lower).suffix)


def stem(name: str) -> str:
    """The last part of a path without its extension."""
    last = name.rsplit("/", 1)[-1]
    return last[: len(last) - len(suffix(last))] or last


def unsupported(kind: str) -> tuple[str, str]:
    """Reason and advice for a file whose extension is none of these."""
    advice = "Unpack it, or pack it as .zip or .tar.gz." if kind in _PACKED else f"Convert it to one of {KNOWN}."
    return f"The format {kind or 'without an extension'} is not supported.", advice


def looks_like(content: bytes, kind: str) -> str | None:
    """What the first bytes speak of, where that is something else than the extension `kind` says."""
    head = content[:64].lstrip().lower()
    seen = next(((name, kinds) for magic, (name, kinds) in _MAGIC.items() if head.startswith(magic)), None)
    return seen[0] if seen and kind not in seen[1] else None
