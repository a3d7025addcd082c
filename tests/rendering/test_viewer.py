"""The viewer: it holds the shapes, works offline, and a real browser renders it."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from gan3d.errors import UserError
from gan3d.rendering import viewer, voxels
from gan3d.voxels import unpack_bits

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Reader(HTMLParser):
    """Collects scripts by id, text outside them, and every attribute that could load something."""

    def __init__(self, text: str):
        super().__init__()
        self.scripts: dict[str | None, str] = {}
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.inside = tag
        self.script = values.get("id")
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[self.script] = self.scripts.get(self.script, "") + data
        elif self.inside != "style":
            self.text.append(data)


def embedded(path: Path) -> dict:
    return json.loads(Reader(path.read_text(encoding="utf-8")).scripts["data"])


@given(arrays(bool, (3, 4, 4, 4)), st.sampled_from("xyz"))
@settings(deadline=None, max_examples=25)
def test_embedded_bits_decode_to_the_shapes(tmp_path_factory, shapes, up):
    path = viewer.write_page(tmp_path_factory.mktemp("page") / "p.html", shapes, ["a", "b", "a"], "t", up=up)
    frame = embedded(path)["frames"][0]
    packed = np.stack([np.frombuffer(base64.b64decode(text), np.uint8) for text in frame["shapes"]])
    turned = np.stack([voxels.upright(shape, up) for shape in shapes])
    assert np.array_equal(unpack_bits(packed, frame["resolutions"][0]), turned)


def test_labels_colours_and_frames(tmp_path):
    early, late = np.ones((2, 4, 4, 4), bool), np.ones((2, 8, 8, 8), bool)
    path = viewer.write_page(tmp_path / "new" / "p.html", late, ["chair", "table"], "t", frames=[(12000, early)])
    data = embedded(path)
    assert data["labels"] == ["chair", "table"]
    assert data["colors"] == [list(voxels.class_color(i)) for i in range(2)]
    assert [(frame["name"], frame["resolutions"]) for frame in data["frames"]] == [
        ("12,000 images", [4, 4]),
        ("final", [8, 8]),
    ]
    chosen = viewer.write_page(tmp_path / "q.html", late, ["chair", "table"], "t", colors=[(1, 2, 3)] * 2)
    assert embedded(chosen)["colors"] == [[1, 2, 3]] * 2


def test_text_cannot_become_markup(tmp_path):
    nasty = '</script><script>alert(1)</script><img src="http://example.org">{{ data }}'
    shape = np.ones((1, 4, 4, 4), bool)
    reader = Reader(
        viewer.write_page(tmp_path / "p.html", shape, [nasty], nasty, note=nasty).read_text(encoding="utf-8")
    )
    assert json.loads(reader.scripts["data"])["labels"] == [nasty]
    assert len(reader.scripts) == 2
    assert not reader.addresses
    assert "".join(reader.text).count(nasty) == 3  # title, heading and note


@pytest.mark.parametrize("inside", [False, True])
def test_no_rule_of_style_is_shown_as_text(inside):
    page = viewer.page(np.ones((1, 4, 4, 4), bool), ["chair"], "one", embedded=inside)
    body = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.S)
    assert not re.search(r"[{}]", body)


def test_needs_no_network(tmp_path):
    text = viewer.write_page(tmp_path / "p.html", np.ones((1, 4, 4, 4), bool), ["chair"], "t").read_text(
        encoding="utf-8"
    )
    assert not re.findall(r"https?:|//[a-z]+\.|@import|url\(|\bfetch\b|XMLHttp|WebSocket|localStorage|import\(", text)
    assert not Reader(text).addresses
    assert "default-src 'none'" in text


def test_is_small(tmp_path):
    shapes = np.random.default_rng(0).random((32, 32, 32, 32)) > 0.5
    path = viewer.write_page(tmp_path / "p.html", shapes, ["chair"] * 32, "t")
    assert path.stat().st_size < 250_000


def test_invalid_arguments(tmp_path):
    shapes = np.ones((2, 4, 4, 4), bool)
    with pytest.raises(UserError, match="up axis 'w'"):
        viewer.write_page(tmp_path / "p.html", shapes, ["chair"] * 2, "t", up="w")
    with pytest.raises(ValueError, match="as many shapes as there are labels"):
        viewer.write_page(tmp_path / "p.html", shapes, ["chair"], "t")
    with pytest.raises(ValueError, match="as many shapes as there are labels"):
        viewer.write_page(tmp_path / "p.html", shapes, ["chair"] * 2, "t", frames=[(1, shapes[:1])])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to render the page")
def test_a_browser_renders_and_rotates_the_shapes(tmp_path):
    """A plate at the right of the cube: seen from the front it is right, from behind left."""
    shapes = np.zeros((2, 8, 8, 8), bool)
    shapes[0, 6:] = True
    path = viewer.write_page(tmp_path / "p.html", shapes, ["chair", "table"], "Two shapes")

    def shot(address: str) -> Path:
        out = tmp_path / "shot.png"
        out.unlink(missing_ok=True)
        flags = "--headless --no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
        quiet = (
            "--no-first-run --disable-quic --disable-background-networking --disable-component-update --disable-sync"
        )
        subprocess.run(
            [str(CHROMIUM), *flags.split(), *quiet.split(), f"--screenshot={out}", "--window-size=800,700",
             "--virtual-time-budget=3000", f"--user-data-dir={tmp_path / 'profile'}", address],
            check=False, capture_output=True, timeout=120,
        )  # fmt: skip
        return out

    if not shot("about:blank").exists():
        pytest.skip("this Chromium cannot take pictures here, as one that is confined to the home folder cannot")

    def picture(view: str) -> np.ndarray:
        pixels = np.asarray(Image.open(shot(f"{path.as_uri()}#{view}")).convert("RGB")).astype(int)[150:]
        return pixels[..., 2] - pixels[..., 0] > 60  # blue

    front, back = picture("shape=0&yaw=0&pitch=0"), picture("shape=0&yaw=180&pitch=0")
    middle = front.shape[1] // 2
    assert front[:, middle:].sum() > 20 * front[:, :middle].sum()
    assert back[:, :middle].sum() > 20 * back[:, middle:].sum()
    assert front.sum() > 5000
    assert picture("yaw=30").sum() > 1000  # in the grid, beside the empty one
    assert not picture("shape=1").any()
