"""Randomly damaged files of every format: each gives a result within the limits, and the run continues."""

import gzip
import io
import os
import struct

import h5py
import nibabel
import numpy as np
import pytest
import trimesh
from paths import SUPPORT
from sandboxed_calls import read_file
from scene_files import threedxml, zipped
from scipy import io as matlab

from gan3d.data.formats import binvox, magicavoxel
from gan3d.data.formats.extensions import ARRAY_SETS, GRIDS, MESHES, suffix
from gan3d.data.formats.readers import read
from gan3d.data.sandbox.pool import Limits, SandboxPool, WorkerFailure

LIMITS = Limits(seconds=20, memory=1024)


def stored(write, *arguments: object, **named: object) -> bytes:
    stream = io.BytesIO()
    write(stream, *arguments, **named)
    return stream.getvalue()


def samples() -> dict[str, bytes]:
    """A valid file of every format, by name."""
    mesh = trimesh.creation.torus(1, 0.4, 12, 8)
    grid = np.random.default_rng(0).random((16, 16, 16)) < 0.3
    made: dict[str, bytes | str] = {
        "a.off": mesh.export(file_type="off"),
        "a.obj": mesh.export(file_type="obj"),
        "a.ply": mesh.export(file_type="ply", encoding="ascii"),
        "b.ply": mesh.export(file_type="ply"),
        "a.stl": mesh.export(file_type="stl_ascii"),
        "b.stl": mesh.export(file_type="stl"),
        "a.glb": mesh.export(file_type="glb"),
        "a.gltf": trimesh.Scene(mesh).export(file_type="gltf", merge_buffers=True, embed_buffers=True)["model.gltf"],
        "a.3mf": mesh.export(file_type="3mf"),
        "a.dae": mesh.export(file_type="dae"),
        "a.zae": zipped({"a.dae": mesh.export(file_type="dae")}),
        "a.3dxml": threedxml(),
        "a.binvox": binvox.encode(binvox.Binvox(grid)),
        "a.mat": stored(matlab.savemat, {"instance": grid.astype(np.int8)}),
        "b.mat": stored(matlab.savemat, {"voxels": grid.astype(np.uint8)}, do_compression=True),
        "a.npy": stored(np.save, grid),
        "a.npz": stored(np.savez, voxels=grid[None]),
        "b.npz": stored(np.savez_compressed, X_train=np.stack([grid] * 3), y_train=[0, 1, 2]),
        "c.npz": stored(np.savez, voxels_packed=np.packbits(grid)[None], shape=grid.shape),
        "a.nii": nibabel.Nifti1Image(grid.astype(np.uint8), np.eye(4)).to_bytes(),
        "a.vox": magicavoxel.encode(grid),
    }
    header = struct.pack(">3i", len(mesh.vertices), len(mesh.faces), 0)
    faces = b"".join(struct.pack(">5i", 3, *face, 0) for face in mesh.faces)
    made["b.off"] = b"OFF BINARY\n" + header + mesh.vertices.astype(">f4").tobytes() + faces
    made["a.nii.gz"] = gzip.compress(bytes(made["a.nii"]))
    with io.BytesIO() as stream:
        with h5py.File(stream, "w") as file:
            file.create_dataset("voxels", data=np.stack([grid] * 3).astype("u1"), chunks=True, compression="gzip")
        made["a.h5"] = stream.getvalue()
    with io.BytesIO() as stream:
        with h5py.File(stream, "w", userblock_size=512) as file:
            file["instance"] = grid.astype("u1")
        made["c.mat"] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + stream.getvalue()[128:]
    return {name: content.encode() if isinstance(content, str) else bytes(content) for name, content in made.items()}


def test_every_format_has_a_sample_and_a_reader():
    originals = samples()
    assert {suffix(name) for name in originals} >= {*MESHES, *GRIDS}
    for name, content in originals.items():
        if suffix(name) not in ARRAY_SETS:
            read(content, name)


def mutate(name: str, originals: dict[str, bytes], rng: np.random.Generator) -> bytes:
    """Flip bits, cut or repeat parts, swap in the header of another format, or write numbers that are far too large."""
    content = bytearray(originals[name])
    for _ in range(rng.integers(1, 4)):
        kind = rng.integers(6)
        at = int(rng.integers(len(content))) if rng.random() < 0.5 else int(rng.integers(min(len(content), 400)))
        if kind == 0:
            for offset in rng.integers(0, len(content), int(rng.integers(1, 20))):
                content[offset] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del content[at + 1 :]
        elif kind == 2:
            other = originals[list(originals)[int(rng.integers(len(originals)))]]
            length = int(rng.integers(1, 200))
            content[:length] = other[:length]
        elif kind == 3:
            content[at : at + 4] = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"9999"][rng.integers(4)]
        elif kind == 4:
            content[at:at] = content[at : at + int(rng.integers(1, 300))]
        else:
            content[at : at + 16] = rng.bytes(16)
        content = content or bytearray(b"\0")
    return bytes(content)


@pytest.mark.parametrize(
    "count", [pytest.param(200, marks=pytest.mark.slow), pytest.param(10_000, marks=pytest.mark.full)]
)
def test_damaged_files_give_a_result_within_the_limits(tmp_path, count, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT), prepend=os.pathsep)
    originals = samples()
    rng = np.random.default_rng(count)
    names = list(originals)
    paths = []
    for number in range(count):
        name = names[number % len(names)]
        paths.append(tmp_path / f"{number}{suffix(name)}")
        paths[-1].write_bytes(mutate(name, originals, rng))
    accepted = 0
    with SandboxPool(2, LIMITS) as sandbox:
        answers = dict(sandbox.map(read_file, [(path,) for path in paths]))
    assert sorted(answers) == list(range(count))
    lost = {
        paths[number].name: answer.reason for number, answer in answers.items() if isinstance(answer, WorkerFailure)
    }
    assert not lost
    for number, answer in answers.items():
        for result in answer:
            if isinstance(result, bytes):
                assert len(result) == 16**3 // 8
                accepted += 1
            elif result is not None:
                reason, advice = result
                assert reason.endswith((".", "…")), (paths[number].name, reason)
                assert advice.endswith(".")
                assert len(reason) < 300
    assert 0 < accepted < count


def test_the_undamaged_samples_are_read(tmp_path):
    for name, content in samples().items():
        (tmp_path / name).write_bytes(content)
        results = read_file(tmp_path / name)
        assert results, name
        assert all(isinstance(result, bytes) for result in results), (name, results)
