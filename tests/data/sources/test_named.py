"""Public data sets by name, from a server on loopback with small archives of the publishers' layouts."""

import http.server
import io
import re
import tarfile
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import scipy.io
import trimesh
from scene_files import zipped

from gan3d.config.schema import Data
from gan3d.data.formats import binvox
from gan3d.data.sources import download
from gan3d.data.sources.named import NAMED_SOURCES, axis_advice
from gan3d.errors import UserError
from gan3d.stages import prepare


def off(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    text = trimesh.creation.box(random.uniform(0.3, 1, 3)).export(file_type="off")
    return text.encode().replace(b"OFF\n", b"OFF" if seed % 5 == 0 else b"OFF\n")  # as in ModelNet40


def grid(seed: int, side: int = 32) -> np.ndarray:
    low = np.random.default_rng(seed).integers(2, side // 2 - 1, 3)
    shape = np.zeros((side,) * 3, bool)
    shape[tuple(slice(a, side - 2) for a in low)] = True
    return shape


def modelnet(root: str, classes: tuple[str, ...]) -> dict[str, bytes]:
    files = {
        f"{root}/{name}/{split}/{name}_{i:04d}.off": off(100 * c + i + (50 if split == "test" else 0))
        for c, name in enumerate(classes)
        for split, count in (("train", 12), ("test", 4))
        for i in range(1, count + 1)
    }
    return {f"{root}/README.txt": b"3D models", f"__MACOSX/{root}/._README.txt": b"x", **files}


def shapenet() -> dict[str, bytes]:
    return {
        f"ShapeNetVox32/{synset}/{c:016x}{i:016x}/model.binvox": binvox.encode(binvox.Binvox(grid(100 * c + i)))
        for c, synset in enumerate(("02691156", "03001627"))
        for i in range(12)
    }


def volumes() -> dict[str, bytes]:
    files = {}
    for c, name in enumerate(("chair", "table")):
        for split, count in (("train", 12), ("test", 4)):
            for i in range(count):
                out = io.BytesIO()
                seed = 100 * c + i + (50 if split == "test" else 0)
                scipy.io.savemat(out, {"instance": grid(seed, 30).astype(np.uint8)})
                files[f"volumetric_data/{name}/30/{split}/{name}_{i:06d}_1.mat"] = out.getvalue()
    return files


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


ARCHIVES = {
    "modelnet10": lambda: zipped(modelnet("ModelNet10", ("chair", "night_stand"))),
    "modelnet40": lambda: zipped(modelnet("ModelNet40", ("airplane", "flower_pot"))),
    "shapenet-vox32": lambda: tarred(shapenet()),
    "3d_gans": lambda: zipped(volumes()),
}


class Publisher(http.server.BaseHTTPRequestHandler):
    """Serves archives with range requests; the first large answer stops in the middle."""

    content: dict[str, bytes] = {}  # noqa: RUF012
    drops = 1
    ranges: list[str] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        self.answer(False)

    def do_GET(self) -> None:
        self.answer(True)

    def answer(self, body: bool) -> None:
        cls, whole = type(self), type(self).content[self.path]
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, stop = (int(part[1]), min(int(part[2]) + 1, len(whole))) if part else (0, len(whole))
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(whole)}")
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if body and stop - start > 1:
            cls.ranges.append(self.headers.get("Range", "all"))
            if cls.drops:
                cls.drops -= 1
                self.wfile.write(whole[start : start + (stop - start) // 2])
                self.connection.close()
                return
            self.wfile.write(whole[start:stop])
        elif body:
            self.wfile.write(whole[start:stop])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def publisher(monkeypatch, tmp_path):
    """All named sets at a loopback server."""
    handler = type("Handler", (Publisher,), {"content": {}, "ranges": []})
    monkeypatch.setenv("GAN3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "BLOCK", 4096)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, each in NAMED_SOURCES.items():
            file = "/" + each.address.rpartition("/")[2]
            moved = replace(each, address=f"http://127.0.0.1:{server.server_address[1]}{file}")
            monkeypatch.setitem(NAMED_SOURCES, name, moved)
        yield handler
        server.shutdown()


CLASSES = {
    "modelnet10": ["chair", "night_stand"],
    "modelnet40": ["airplane", "flower_pot"],
    "shapenet-vox32": ["airplane", "chair"],
    "3d_gans": ["chair", "table"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_a_named_set_is_downloaded_resumed_and_prepared(publisher, tmp_path, capsys, caplog, name):
    publisher.content["/" + NAMED_SOURCES[name].address.rpartition("/")[2]] = ARCHIVES[name]()
    summary = prepare.run(Data(source=name, resolution=16), 0, tmp_path / "voxels", tmp_path, workers=2)
    assert summary["classes"] == CLASSES[name]
    assert summary["rejected"] == 0
    assert all(counts["train"] >= 8 and counts["test"] for counts in summary["counts"].values())
    assert f"{name}: {NAMED_SOURCES[name].licence}" in capsys.readouterr().out
    assert publisher.drops == 0
    assert ("set data.up to z" in caplog.text) == (NAMED_SOURCES[name].up == "z")
    if name != "shapenet-vox32":  # the others state their splits
        assert {counts["test"] for counts in summary["counts"].values()} == {4}


@pytest.mark.parametrize("name", CLASSES)
def test_an_address_that_does_not_answer_is_one_sentence_within_seconds(tmp_path, monkeypatch, name):
    monkeypatch.setitem(NAMED_SOURCES, name, replace(NAMED_SOURCES[name], address="http://127.0.0.1:9/a.zip"))
    start = time.monotonic()
    with pytest.raises(
        UserError, match=rf"{name} \(http://127.*\) cannot be downloaded .*{NAMED_SOURCES[name].advice[:30]}"
    ):
        download.fetch(name, tmp_path)
    assert time.monotonic() - start < 10


def test_the_up_axis_of_a_named_set_is_known():
    assert axis_advice("modelnet10", "z") is None
    assert axis_advice("/my/folder", "x") is None
    assert "z axis up, but data.up is y" in axis_advice("modelnet40", "y")
