"""Broken and hostile sources: each bad file becomes a row with a reason and advice, and has no other effect."""

import csv
import gzip
import io
import os
import resource
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from paths import REPOSITORY
from scene_files import zipped

from gan3d.data.pipeline.prepare import prepare
from gan3d.data.sandbox.pool import Limits
from gan3d.dataset import VoxelDataset
from gan3d.errors import UserError
from gan3d.synthetic import furniture

OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\n"
SOURCES = REPOSITORY / "src"


def rejects(folder: Path) -> dict[str, tuple[str, str]]:
    with (folder / "rejects.csv").open(newline="") as lines:
        return {row["file"]: (row["reason"], row["advice"]) for row in csv.DictReader(lines)}


def files_table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "files.csv").open(newline="") as lines:
        return {row.pop("file"): row for row in csv.DictReader(lines)}


def tarred(names: dict[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in names.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return stream.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_bad_files_in_a_folder_are_rejected(tmp_path):
    source = write_files(
        tmp_path / "source",
        {
            "chair/good.obj": OBJ,
            "chair/wrong.off": b"ply\nformat ascii 1.0\n",
            "chair/page.stl": b"<!DOCTYPE html><html>404</html>",
            "chair/bomb.nii.gz": gzip.compress(bytes(2**22)),
            "chair/nested.zip": zipped({"inner.obj": OBJ.replace(b"1 2 4", b"1 3 4"), "../../escape.obj": OBJ}),
            "chair/deep.zip": zipped({"a.zip": zipped({"b.zip": zipped({"c.obj": OBJ})})}),
            "chair/sound.blend": b"BLENDER",
            "chair/pointer.ply": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "chair/notes.txt": b"hello",
        },
    )
    (source / "chair/linked.obj").symlink_to("/etc/passwd")
    (source / "chair/dangling.obj").symlink_to("nowhere.obj")
    (source / "chair/inside.obj").symlink_to("good.obj")
    (source / "chair/folder").symlink_to("/etc")
    os.mkfifo(source / "chair/pipe.obj")
    summary = prepare(source, tmp_path / "out", 8)
    rows = rejects(tmp_path / "out")
    assert set(rows) == {
        "chair/wrong.off",
        "chair/page.stl",
        "chair/bomb.nii.gz",
        "chair/nested.zip/../../escape.obj",
        "chair/deep.zip/a.zip/b.zip",
        "chair/sound.blend",
        "chair/pointer.ply",
        "chair/linked.obj",
        "chair/dangling.obj",
        "chair/folder",
        "chair/pipe.obj",
    }
    assert all(reason.endswith(".") and advice.endswith(".") for reason, advice in rows.values())
    assert "looks like PLY" in rows["chair/wrong.off"][0]
    assert "Git LFS" in rows["chair/pointer.ply"][0]
    assert "git lfs pull" in rows["chair/pointer.ply"][1]
    assert "symbolic link" in rows["chair/folder"][0]
    accepted = {row["source"] for row in VoxelDataset(tmp_path / "out").rows}
    assert accepted == {"chair/good.obj", "chair/nested.zip/inner.obj"}
    assert summary["duplicates"] == 1  # the link inside the source
    table = files_table(tmp_path / "out")
    assert set(table) == {*rows, *accepted, "chair/notes.txt", "chair/inside.obj"}
    assert table["chair/notes.txt"]["left out"] == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


RARE = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("tar", "tgz", "tar.bz2")]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tar.gz", "zip", *RARE])
def test_archives_give_the_same_data_as_a_folder(tmp_path, kind):
    files = {"set/chair/train/a.obj": OBJ, "set/chair/test/b.obj": OBJ.replace(b"1 2 4", b"1 3 4")}
    mode = {"tar": "w", "tar.gz": "w:gz", "tgz": "w:gz", "tar.bz2": "w:bz2"}.get(kind)
    (tmp_path / f"x.{kind}").write_bytes(zipped(files) if mode is None else tarred(dict(files), mode))
    prepare(tmp_path / f"x.{kind}", tmp_path / "out", 8)
    prepare(write_files(tmp_path / "x", files), tmp_path / "plain", 8)
    assert (tmp_path / "out/manifest.csv").read_bytes() == (tmp_path / "plain/manifest.csv").read_bytes()
    assert (tmp_path / "out/r08.npy").read_bytes() == (tmp_path / "plain/r08.npy").read_bytes()
    write_files(tmp_path / "outer", {f"more.{kind}": (tmp_path / f"x.{kind}").read_bytes()})
    (tmp_path / "outer.zip").write_bytes(zipped({f"more.{kind}": (tmp_path / f"x.{kind}").read_bytes()}))
    for source in ("outer", "outer.zip"):
        prepare(tmp_path / source, tmp_path / "nested", 8)
        assert [row["source"] for row in VoxelDataset(tmp_path / "nested").rows] == [
            f"more.{kind}/set/chair/test/b.obj",
            f"more.{kind}/set/chair/train/a.obj",
        ]
        assert VoxelDataset(tmp_path / "nested").classes == ["chair"]


def test_hostile_members_of_a_tar_are_rejected(tmp_path):
    (tmp_path / "x.tar").write_bytes(
        tarred(
            {
                "chair/a.obj": OBJ,
                "../evil.obj": OBJ,
                "/abs.obj": OBJ,
                "chair/soft.obj": link("chair/soft.obj", "/etc/passwd"),
                "chair/hard.obj": link("chair/hard.obj", "chair/a.obj", tarfile.LNKTYPE),
                "chair/device.obj": link("chair/device.obj", "", tarfile.CHRTYPE),
                "chair/b.obj": OBJ,
            }
        )
    )
    prepare(tmp_path / "x.tar", tmp_path / "out", 8)
    assert set(rejects(tmp_path / "out")) == {
        "../evil.obj",
        "/abs.obj",
        "chair/soft.obj",
        "chair/hard.obj",
        "chair/device.obj",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.tar"]


@pytest.mark.slow
def test_three_kinds_of_zip_bomb_are_rejected(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chair/good.obj", OBJ)
        with archive.open("chair/zeros.obj", "w", force_zip64=True) as stream:
            for _ in range(200):
                stream.write(bytes(2**20))
        archive.writestr("chair/liar.obj", bytes(2**20))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")  # the directory claims 3 GiB for the last file
    content[at + 24 : at + 28] = (3 * 2**30).to_bytes(4, "little")
    path.write_bytes(content)
    # two names for the bytes of one file
    shared = tmp_path / "shared.zip"
    with zipfile.ZipFile(shared, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chair/aa.obj", OBJ)
        info = archive.getinfo("chair/aa.obj")
        twin = zipfile.ZipInfo("chair/bb.obj")
        twin.compress_type, twin.CRC, twin.header_offset = info.compress_type, info.CRC, info.header_offset
        twin.file_size, twin.compress_size = info.file_size, info.compress_size
        archive.filelist.append(twin)
    start = time.monotonic()
    prepare(path, tmp_path / "out", 8, limits=Limits(20, 128))
    assert time.monotonic() - start < 60
    rows = rejects(tmp_path / "out")
    assert "128 MiB" in rows["chair/zeros.obj"][0]
    assert "1 GiB" in rows["chair/liar.obj"][0]
    prepare(shared, tmp_path / "out", 8)
    assert "zip bomb" in rejects(tmp_path / "out")["chair/bb.obj"][0]


def test_a_damaged_compressed_tar_gives_a_one_sentence_error(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(tarred({"chair/a.obj": OBJ}, "w:gz")[:-30])
    with pytest.raises(UserError, match=r"x.tar.gz: The archive is damaged"):
        prepare(tmp_path / "x.tar.gz", tmp_path / "out", 8)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.gz"]


def test_array_sets_that_refer_to_other_files_are_rejected(tmp_path):
    secret = tmp_path / "secret.raw"
    secret.write_bytes(b"\x01" * 512)
    folder = write_files(tmp_path / "source", {"chair/good.obj": OBJ}) / "chair"
    with h5py.File(folder / "external.h5", "w") as file:
        file.create_dataset("voxels", (1, 8, 8, 8), "u1", external=[(str(secret), 0, 512)])
    with h5py.File(folder / "linked.h5", "w") as file:
        file["voxels"] = h5py.ExternalLink(str(folder / "other.hdf5"), "voxels")
    with h5py.File(folder / "huge.h5", "w") as file:
        file.create_dataset("voxels", (2, 10**5, 10**5, 10**5), "u1", chunks=(1, 8, 8, 8))
    with h5py.File(folder / "other.hdf5", "w") as file:
        file["voxels"] = np.random.default_rng(0).random((2, 8, 8, 8)) < 0.3
    with (folder / "pickled.npz").open("wb") as stream:
        np.savez(stream, voxels=np.array([{}], object), allow_pickle=True)
    prepare(tmp_path / "source", tmp_path / "out", 8)
    assert set(rejects(tmp_path / "out")) == {
        f"chair/{n}" for n in ("external.h5", "linked.h5", "huge.h5", "pickled.npz")
    }
    assert len(VoxelDataset(tmp_path / "out")) == 3


@pytest.mark.slow
def test_a_full_disk_leaves_the_earlier_data_set(tmp_path):
    """A file size limit simulates the full disk: the write fails at the same point, with another errno."""
    source = tmp_path / "source"
    furniture.write(source, chairs=6, tables=6, test=2)
    prepare(source, tmp_path / "out", 8)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    script = f"from gan3d.data.pipeline.prepare import prepare\nprepare({str(source)!r}, {str(tmp_path / 'out')!r}, 64)"
    done = subprocess.run([sys.executable, "-c", script], preexec_fn=limit, capture_output=True, text=True, cwd=SOURCES)
    assert "UserError: the disk of" in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.unfinished", "out", "source"]
    prepare(source, tmp_path / "out", 64)  # resumes without the limit
    prepare(source, tmp_path / "clean", 64)
    for path in (tmp_path / "clean").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean", "out", "source"]


@pytest.mark.slow
def test_a_killed_run_resumes_without_repeating_a_shape(tmp_path):
    source = tmp_path / "source"
    furniture.write(source, chairs=60, tables=60, test=5)
    prepare(source, tmp_path / "whole", 16, workers=2)
    script = (
        "import os, signal\n"
        "from gan3d.data.pipeline.prepare import prepare\n"
        "def stop(done, total):\n"
        "    if done >= 40: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"prepare({str(source)!r}, {str(tmp_path / 'out')!r}, 16, workers=2, progress=stop)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=SOURCES)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    seen: list[int] = []
    prepare(source, tmp_path / "out", 16, workers=2, progress=lambda done, total: seen.append(done))
    assert seen[0] == 41
    assert len(seen) == 80
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source", "whole"]


@pytest.mark.slow
def test_results_of_other_settings_are_not_reused(tmp_path):
    source = write_files(tmp_path / "source", {"chair/a.obj": OBJ})

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "out", 8, progress=interrupt)
    assert (tmp_path / ".out.unfinished/results").stat().st_size > 0
    prepare(source, tmp_path / "out", 8, fill="surface", handedness="left")
    prepare(source, tmp_path / "clean", 8, fill="surface", handedness="left")
    assert (tmp_path / "out/r08.npy").read_bytes() == (tmp_path / "clean/r08.npy").read_bytes()
    assert not (tmp_path / ".out.unfinished").exists()
