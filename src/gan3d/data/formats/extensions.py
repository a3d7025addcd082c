"""File extensions of meshes, grids, array sets and archives, and a guess of the format from the first bytes."""

MESHES = (".off", ".obj", ".ply", ".stl", ".glb", ".gltf", ".3mf", ".3dxml", ".dae", ".zae")
GRIDS = (".binvox", ".mat", ".npy", ".vox", ".nii", ".nii.gz")
ARRAY_SETS = (".npz", ".h5", ".hdf5")  # many grids per file; an .npy may also be one
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
SUPPORTED = ", ".join((*MESHES, *GRIDS, *ARRAY_SETS))
_OTHER_ARCHIVES = (".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".lzma")
MAX_FILE_BYTES = 2**30  # larger files are not read

LFS_POINTER, WEB_PAGE = "a Git LFS pointer", "a web page"
_DOUBLE_SUFFIXES = (".nii.gz", ".tar.gz", ".tar.bz2", ".tar.xz")
_MAGIC = {  # first bytes in lower case: the format, and its extensions
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
    b"pk\x03\x04": ("ZIP", (".npz", ".zip", ".3mf", ".3dxml", ".zae")),
    b"\x1f\x8b": ("GZIP", (".nii", ".nii.gz")),
    b"\x89png": ("PNG", ()),
    b"\xff\xd8\xff": ("JPEG", ()),
    b"%pdf": ("PDF", ()),
    b"<!doctype html": (WEB_PAGE, ()),
    b"<html": (WEB_PAGE, ()),
    b"version https://git-lfs": (LFS_POINTER, ()),
}


def suffix(name: str) -> str:
    """The extension in lower case; double ones such as `.nii.gz` and `.tar.gz` count as one."""
    last = name.rsplit("/", 1)[-1].lower()
    if last.endswith(_DOUBLE_SUFFIXES):
        return next(double for double in _DOUBLE_SUFFIXES if last.endswith(double))
    dot = last.rfind(".")
    return last[dot:] if 0 < dot < len(last) - 1 else ""


def stem(name: str) -> str:
    """The last component of a path without its extension."""
    last = name.rsplit("/", 1)[-1]
    return last[: len(last) - len(suffix(last))] or last


def unsupported(kind: str) -> tuple[str, str]:
    """Reason and advice for a file with an unsupported extension."""
    subject = f"The format {kind}" if kind else "A file without an extension"
    repack, convert = "Unpack it, or pack it as .zip or .tar.gz.", f"Convert it to one of {SUPPORTED}."
    return f"{subject} is not supported.", repack if kind in _OTHER_ARCHIVES else convert


def sniff(content: bytes, kind: str) -> str | None:
    """The format that the first bytes suggest, if it does not match the extension `kind`."""
    head = content[:64].lstrip().lower()
    seen = next(((name, kinds) for magic, (name, kinds) in _MAGIC.items() if head.startswith(magic)), None)
    return seen[0] if seen and kind not in seen[1] else None
