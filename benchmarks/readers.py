"""Our mesh and grid readers compared with trimesh's: correct, wrong and rejected files per format, and speed.

    python benchmarks/readers.py FOLDER... [--list] [--out benchmarks/results/readers.json]

Two kinds of files are read: those of the folders, and those that the tests write (variants of one shape, and broken
files), whose right answer is known. Each reader runs in a process with limits (60 s, 2 GiB), and what it reads passes
`check_mesh`, so that both have to meet the same rules.

Two results are equal when their bounding box, area and voxels at 32³ are. Where both readers agree on a file of a
folder, they count as right; where they do not, VERDICTS says who is, and why. A file without a verdict is `open`.
"""

import argparse
import importlib
import io
import json
import logging
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan3d.data.formats.extensions import suffix
from gan3d.data.formats.readers import Mesh, UnreadableFile, check_mesh, read
from gan3d.data.sandbox.pool import Limits, SandboxPool, WorkerFailure
from gan3d.data.sources.archives import Location
from gan3d.data.voxelization.voxelize import voxelize

ROOT = Path(__file__).resolve().parents[1]
KINDS = (".off", ".obj", ".ply", ".stl", ".glb", ".gltf", ".binvox", ".3mf", ".dae", ".zae", ".3dxml")
LIMITS = Limits(seconds=60, memory=2048)
SIDE = 32
REPEATS = 3  # of each timing; the least counts
OUTCOMES = ("right", "wrong", "refused rightly", "refused wrongly", "lost", "open")

_BACK = "trimesh counts negative indices from the file's last vertex, not from the last one before the face"
_CONCAVE = "trimesh makes a fan of a concave polygon; the area by Newell's formula is ours"
_PARTS = "trimesh gives every part all meshes of its file, or none"
_COMMA = "decimal commas"
_SKIN = "its only mesh is bound to a skeleton"
VERDICTS: dict[str, tuple[str, str]] = {  # who is right ("both", "ours", "trimesh", or "refuse"), and why
    "concave_polygon.obj": ("ours", _CONCAVE),
    "space_in_material_name.obj": ("ours", _CONCAVE),
    "issue-319-002.obj": ("ours", _CONCAVE),
    "wallhole.obj": ("ours", _CONCAVE),
    "ConcavePolygon.dae": ("ours", _CONCAVE),
    "cornell_box.obj": ("ours", _BACK),
    "cornell_box_multimaterial.obj": ("ours", _BACK),
    "missing_material_file.obj": ("ours", _BACK),
    "no_material.obj": ("ours", _BACK),
    "issue-140-zero-face-idx.obj": ("refuse", "OBJ counts from 1: a face of vertex 0 is none"),
    "polygonfaces.obj": ("both", "five corners that lie in no plane: two triangulations, both right"),
    "suzanne.ply": ("both", "quads that are not flat: two triangulations, both right"),
    **dict.fromkeys(("duck.dae", "duck.zae", "duck_nomanifest.zae"), ("both", "quads that are not flat")),
    "HalfDonut.stl": ("ours", "one byte behind the last triangle"),
    "production_components.3mf": ("ours", _PARTS),
    "cube_gears_prod_req.3mf": ("ours", _PARTS),
    "cube_emptyTags.dae": ("ours", "trimesh leaves out a mesh whose material is damaged"),
    "teapots.DAE": ("refuse", _COMMA),
    "earthCylindrical.DAE": ("refuse", _COMMA),
    "box_nested_animation.dae": ("refuse", _SKIN),
    "box_nested_animation_4286.dae": ("refuse", _SKIN),
    "library_animation_clips.dae": ("refuse", _SKIN),
}


class Case(NamedTuple):
    """A file: `expected` is None (unknown), "refuse", or the mesh that it holds."""

    name: str
    path: Path | None
    content: bytes | None
    expected: Any = None


class Seen(NamedTuple):
    """What a reader made of a file; `fault` says why there is nothing."""

    fault: str = ""
    box: tuple[float, ...] = ()
    area: float = 0.0
    count: int = 0
    voxels: bytes = b""

    def equals(self, other: "Seen") -> bool:
        return (
            not self.fault
            and not other.fault
            and self.voxels == other.voxels
            and np.allclose(self.box, other.box, rtol=1e-6, atol=1e-9)
            and bool(np.isclose(self.area, other.area, rtol=1e-5, atol=1e-12))
        )


def ours(case: Case) -> Mesh | np.ndarray:
    if case.path is None:
        return read(case.content or b"", case.name)
    return read(case.path, case.name, Location(case.path, None, case.path.parent).read_sibling)


def theirs(case: Case) -> Mesh | np.ndarray:
    """trimesh, with nothing merged, repaired or coloured, its scene joined with the transforms of its nodes."""
    import trimesh

    kind = suffix(case.name)[1:]
    stream = io.BytesIO(case.path.read_bytes() if case.path else case.content or b"")
    resolver = trimesh.resolvers.FilePathResolver(str(case.path)) if case.path else None
    if kind == "binvox":
        return np.ascontiguousarray(trimesh.load(stream, file_type=kind).matrix)
    options = {"skip_materials": True} if kind in ("obj", "gltf", "glb") else {}
    mesh = trimesh.load_scene(stream, file_type=kind, resolver=resolver, process=False, **options).to_mesh()
    return check_mesh(mesh.vertices, mesh.faces)


def see(reader: str, case: Case) -> Seen:
    """What one reader makes of one file, in a process of its own."""
    try:
        shape = {"ours": ours, "trimesh": theirs}[reader](case)
    except MemoryError:
        raise
    except UnreadableFile as error:
        return Seen(error.reason)
    except Exception as error:  # a refusal of trimesh may be any exception
        return Seen(f"{type(error).__name__}: {' '.join(str(error).split())[:90]}")
    return seen(shape)


def seen(shape: Mesh | np.ndarray) -> Seen:
    if isinstance(shape, np.ndarray):
        return Seen("", shape.shape, float(shape.sum()), int(shape.sum()), np.packbits(shape).tobytes())
    corners = shape.vertices[shape.faces]
    with np.errstate(over="ignore", invalid="ignore"):
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    box = (*corners.reshape(-1, 3).min(0), *corners.reshape(-1, 3).max(0))
    return Seen("", box, float(area), len(shape.faces), np.packbits(voxelize(*shape, SIDE)).tobytes())


def outcome(answer: Seen | WorkerFailure, case: Case, other: Seen | WorkerFailure, reader: str) -> str:
    """One of OUTCOMES."""
    if isinstance(answer, WorkerFailure):
        return "lost"
    expected = case.expected
    if expected is None and case.path is not None and (verdict := VERDICTS.get(case.name)):
        expected = verdict[0]
    if expected == "refuse":
        return "refused rightly" if answer.fault else "wrong"
    if isinstance(expected, Mesh):
        if answer.fault:
            return "refused wrongly"
        return "right" if answer.equals(seen(expected)) else "wrong"
    if expected in ("ours", "trimesh"):
        if reader == expected:
            return "right"
        if not isinstance(other, WorkerFailure) and answer.equals(other):
            return "right"
        return "refused wrongly" if answer.fault else "wrong"
    if expected == "both":
        return "refused wrongly" if answer.fault else "right"
    if isinstance(other, WorkerFailure):
        return "open"
    if answer.fault and other.fault:
        return "refused rightly"
    return "right" if answer.equals(other) else "open"


def folder_cases(folders: list[Path]) -> Iterator[Case]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and suffix(path.name) in KINDS:
                yield Case(path.name, path, None)


def test_cases() -> Iterator[Case]:
    """The files that the tests of the readers write, with their right answer."""
    sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("data/formats", "support")]
    names = ("variants", "readers", "gltf", "scenes")
    variants, formats, gltf, scenes = (importlib.import_module(f"test_{name}") for name in names)
    shape = Mesh(variants.V, variants.F)
    for kind in ("off", "obj", "stl"):
        for _, content in _table(getattr(variants, f"test_{kind}")):
            yield Case(f"a.{kind}", None, _bytes(content), shape)
    for form in variants.ORDERS:
        for elements in variants.PLY_ELEMENTS.values():
            for newline in ("\n", "\r\n"):
                yield Case("a.ply", None, variants.ply(form, elements, newline), shape)
    box = Mesh(np.asarray(formats.BOX.vertices), np.asarray(formats.BOX.faces))
    for name, content in _table(formats.test_every_format_gives_the_same_voxels):
        yield Case(name.lower(), None, content, box)
    for content in gltf.CONTENTS.values():
        name = "a.glb" if content.startswith(b"glTF") else "a.gltf"
        yield Case(name, None, content, Mesh(gltf.V, gltf.F))
    for content, name, _ in _table(variants.test_rejected_meshes_name_the_fault):
        yield Case(name, None, _bytes(content), "refuse")
    for content, _ in _table(gltf.test_rejects_name_the_fault):
        yield Case("a.glb" if content.startswith(b"glTF") else "a.gltf", None, content, "refuse")
    for name, content, _ in _table(scenes.test_rejects_name_the_fault):
        yield Case(name, None, content, "refuse")
    for name, content, _ in _table(formats.test_unusable_files_are_rejected_with_reason_and_advice):
        if suffix(name) in KINDS:
            yield Case(name, None, content, "refuse")


def _table(test: Callable) -> list:
    """The rows of a test's last `parametrize`."""
    return list(next(mark.args[1] for mark in test.pytestmark if mark.name == "parametrize"))  # type: ignore[attr-defined]


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def seconds(reader: Callable, case: Case) -> float:
    """The least of REPEATS timings of reading alone."""
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        reader(case)
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--list", action="store_true", help="print every file on which the two differ")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    cases = [*folder_cases(arguments.folders), *test_cases()]
    cases.sort(key=lambda case: KINDS.index(suffix(case.name)))
    answers = {}
    with SandboxPool(1, LIMITS) as sandbox:
        for reader in ("ours", "trimesh"):
            answers[reader] = dict(sandbox.map(see, [(reader, case) for case in cases]))
    logging.getLogger("trimesh").setLevel(logging.CRITICAL)
    table: dict[tuple[str, str], dict[str, Counter]] = defaultdict(lambda: defaultdict(Counter))
    times: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for number, case in enumerate(cases):
        key = suffix(case.name)[1:], "folders" if case.path else "tests"
        one, other = answers["ours"][number], answers["trimesh"][number]
        results = outcome(one, case, other, "ours"), outcome(other, case, one, "trimesh")
        for reader, result in zip(("ours", "trimesh"), results, strict=True):
            table[key][reader][result] += 1
        if case.path and results == ("right", "right"):
            times[key]["ours"] += seconds(ours, case)
            times[key]["trimesh"] += seconds(theirs, case)
        if arguments.list and not {*results} <= {"right", "refused rightly"}:
            where = case.path or f"test {case.name} {case.content[:40]!r}"  # type: ignore[index]
            print(f"{results[0]:16} {results[1]:16} {where}\n    ours    {_short(one)}\n    trimesh {_short(other)}")
    rows = []
    print("| format | files | ours | trimesh | trimesh's time / ours |\n|---|---|---|---|---|")
    for key, readers in table.items():
        row = {"format": key[0], "from": key[1], "files": sum(readers["ours"].values())} | dict(readers)
        if times[key]:
            row["ratio"] = round(times[key]["trimesh"] / times[key]["ours"], 2)
        rows.append(row)
        counts = (", ".join(f"{readers[who][o]} {o}" for o in OUTCOMES if readers[who][o]) for who in readers)
        print(f"| {key[0]}, {key[1]} | {row['files']} | {' | '.join(counts)} | {row.get('ratio', '')} |")
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _short(answer: Seen | WorkerFailure) -> str:
    if isinstance(answer, WorkerFailure):
        return f"LOST {answer.reason}"
    return answer.fault or f"{answer.count} triangles, area {answer.area:.6g}, box {np.round(answer.box, 4).tolist()}"


if __name__ == "__main__":
    import readers  # by its name, as the sandbox imports it

    readers.main()
