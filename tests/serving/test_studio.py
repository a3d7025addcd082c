"""The studio in a real browser: every control, files, links, phones, the keyboard, and a server that restarts."""

import base64
import contextlib
import json
import time

import numpy as np
import pytest
import trimesh
from browser import browser, keep_picture, needs_chromium, overflow, violations
from candidates import tiny, tiny_with_all_parts
from loopback import serving
from PIL import Image
from playwright.sync_api import Error

from gan3d.registry.offline import write_studio
from gan3d.sampling.latents import draw_latents, slerp
from gan3d.sampling.sampler import Sampler
from gan3d.serving.models import ModelHolder
from gan3d.voxels import unpack_bits

pytestmark = [pytest.mark.slow, needs_chromium]
MESHES = ("stl", "glb", "obj", "ply")


@pytest.fixture(scope="module")
def sampler(holder):
    return holder.current.sampler


@pytest.fixture(scope="module")
def address(holder):
    """A server of two models; the other one draws other shapes for the same latents."""
    other = ModelHolder("other", open_sampler=lambda *_: Sampler(tiny(2))).load()
    with serving(holder, other, names=("tiny", "other")) as running:
        yield f"http://127.0.0.1:{running.port}/"


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture
def page(chromium, address):
    opened = chromium.open(address, 800, "light", 620)  # small, since Chromium draws on the processor here
    until(opened, "studio.strip.length == 12 && !document.querySelector('#strip .wait')")
    yield opened
    assert opened.errors == []
    assert opened.foreign == []


def until(page, expression, seconds=30):
    """Wait for an expression to become true; the page's policy forbids Playwright's own way."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"globalThis.studio !== undefined && Boolean({expression})"):
        assert time.monotonic() < end, f"{expression} did not come true; the page says: {page.inner_text('#note')}"
        page.wait_for_timeout(30)


def settle(page):
    """Wait until the stage shows what is asked for."""
    until(page, "!studio.drawing.running && studio.shown")


def shown(page, resolution=8):
    """The voxels on the stage."""
    settle(page)
    bits = page.evaluate("btoa(String.fromCharCode(...studio.shown.grid.bits))")
    return unpack_bits(np.frombuffer(base64.b64decode(bits), np.uint8)[None], resolution)[0]


def latent_of(page):
    return np.array(page.evaluate("Array.from(studio.shown.shape.latent)"), np.float32)


def slide(page, name, value):
    page.evaluate(
        "([name, value]) => { const s = document.getElementById(name); s.value = value;"
        " s.dispatchEvent(new Event('input', { bubbles: true })); }",
        [name, value],
    )


def test_shapes_are_those_of_python(page, sampler):
    np.testing.assert_array_equal(shown(page), sampler.shapes(0, 1, 0)[0])
    page.click("#classes button >> nth=1")
    until(page, "studio.shown.shape.class == 'table'")
    page.fill("#seed", "7")
    page.press("#seed", "Enter")
    until(page, "studio.strip[0].seed == '7'")
    page.click("#strip .thumb >> nth=4")
    np.testing.assert_array_equal(shown(page), sampler.shapes(1, 5, 7)[4])
    slide(page, "truncation", 0.4)
    slide(page, "threshold", 0.31)
    vectors = draw_latents(7, 5, 8)[4:]
    np.testing.assert_array_equal(shown(page), sampler.occupancy(vectors, [1], truncation=0.4)[0] > np.float32(0.31))
    before = page.evaluate("studio.state.seed")
    page.click("#dice")
    until(page, f"studio.state.seed != '{before}' && studio.strip[0].seed == studio.state.seed")
    page.fill("#seed", "-3")
    page.press("#seed", "Enter")
    assert "whole number" in page.inner_text("#note")


def test_a_walk_goes_from_one_shape_to_another(page, sampler):
    page.select_option("#to", "6")
    slide(page, "place", 1)
    np.testing.assert_array_equal(shown(page), sampler.shapes(0, 7, 0)[6])
    slide(page, "place", 0.5)
    settle(page)
    start, end = draw_latents(0, 7, 8)[[0, 6]]
    np.testing.assert_allclose(latent_of(page), slerp(start, end, 3)[1], atol=1e-5)
    np.testing.assert_array_equal(shown(page), sampler.binary(sampler.occupancy(latent_of(page)[None], [0]))[0])
    page.click("#play")
    before = page.evaluate("studio.state.place")
    until(page, f"studio.state.place != {before}")
    page.click("#play")
    assert page.get_attribute("#play", "aria-pressed") == "false"


def test_directions_and_variations_change_the_shape(page):
    until(page, "studio.directions.length")
    start = latent_of(page)
    slide(page, "direction-0", 1)
    until(page, "studio.shown.shape.index === undefined")
    moved = latent_of(page)
    assert np.linalg.norm(moved - start / np.sqrt(np.mean(start**2))) == pytest.approx(1, rel=1e-3)
    page.click("#straight")
    until(page, "studio.shown.shape.index === 0")
    page.click("#vary")
    until(page, "studio.strip[1].name == 'variation 1'")
    page.click("#back")
    until(page, "studio.strip[1].index === 1")


def test_surfaces_and_the_camera(page):
    settle(page)
    page.click("#blocks")
    assert page.get_attribute("#blocks", "aria-pressed") == "true"
    before = page.locator("#view").screenshot()
    page.click("#smooth")
    slide(page, "smoothness", 15)
    page.wait_for_timeout(300)
    assert page.locator("#view").screenshot() != before
    box = page.locator("#view").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 330)
    page.mouse.up()
    yaw, pitch = page.evaluate("[studio.stage.camera.yaw, studio.stage.camera.pitch]")
    assert (yaw, pitch) == pytest.approx((33.7 - 50, 27 + 15))
    page.click("#in")
    page.click("#home")
    assert page.evaluate("studio.stage.camera.yaw") == 33.7


def test_kept_shapes_live_in_the_link(page, chromium, sampler):
    settle(page)
    page.click("#keep")
    page.click("#strip .thumb >> nth=3")
    slide(page, "truncation", 0.5)
    slide(page, "place", 0.25)
    kept = shown(page)
    page.click("#keep")
    page.click("#open-wall")
    until(page, "!document.querySelector('#wall-shapes .wait')")
    page.click("#wall-shapes .thumb >> nth=40")
    page.click("#close-wall")
    page.click("#share")
    until(page, "studio.kept.length == 3 && location.hash.includes('kept=chair~0.0,')")
    link, wall = page.url, page.evaluate("studio.kept[2].seed")
    page.click("#shelf .drop >> nth=0")
    until(page, "studio.kept.length == 2 && !location.hash.includes('chair~0.0,')")

    again = chromium.open(link)
    until(again, "studio.kept.length == 3 && studio.shown")
    np.testing.assert_array_equal(shown(again), kept)
    again.click("#shelf .thumb >> nth=2")
    expected = sampler.binary(sampler.occupancy(draw_latents(int(wall), 41, 8)[40:], [0], truncation=0.5))[0]
    until(again, "studio.state.at == 'k2'")
    np.testing.assert_array_equal(shown(again), expected)
    assert again.errors == []
    page.errors.clear()


def test_files_are_downloaded(page, sampler, tmp_path):
    settle(page)
    page.click("#blocks")
    for label, name in [(name.upper(), name) for name in MESHES] + [("binvox",) * 2, ("PNG", "png")]:
        with page.expect_download() as download:
            page.click(f"#files button:text-is('{label}')")
        assert download.value.suggested_filename == f"chair-0-1.{name}"
        path = tmp_path / f"shape.{name}"
        download.value.save_as(path)
        if name in MESHES:
            mesh = trimesh.load(path, force="mesh")
            assert mesh.volume == pytest.approx(sampler.shapes(0, 1, 0)[0].mean(), rel=1e-4)


def test_gifs_move(page, tmp_path):
    settle(page)
    for label in ("GIF turning", "GIF of the walk"):
        with page.expect_download(timeout=90_000) as download:
            page.click(f"#files button:text-is('{label}')")
        download.value.save_as(tmp_path / "moving.gif")
        with Image.open(tmp_path / "moving.gif") as moving:
            assert moving.n_frames in (22, 24)
            moving.seek(moving.n_frames - 1)
            assert len(moving.convert("RGB").getcolors(1 << 20)) > 8


def test_two_models_stand_side_by_side(page):
    page.select_option("#compare", "other")
    until(page, "studio.stage.figures.length == 2 && studio.shown.other")
    bits = page.evaluate("btoa(String.fromCharCode(...studio.shown.other.bits))")
    expected = Sampler(tiny(2)).shapes(0, 1, 0)[0]
    np.testing.assert_array_equal(unpack_bits(np.frombuffer(base64.b64decode(bits), np.uint8)[None], 8)[0], expected)
    assert page.locator(".caption").all_inner_texts() == ["tiny", "other"]
    page.select_option("#model", "other")
    until(page, "studio.state.model == 'other' && studio.strip.length == 12 && studio.shown")


DROP = """([name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
  dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
}"""


def test_a_dropped_mesh_becomes_a_shape(page, tmp_path):
    box = trimesh.creation.box((2, 3, 1))
    content = box.export(file_type="stl")
    page.evaluate(DROP, ["my box.stl", base64.b64encode(content).decode()])
    until(page, "studio.strip[0].input", 90)
    until(page, "studio.stage.figures.length == 2")
    assert page.inner_text("#inverted")
    assert page.get_attribute("#strip .thumb >> nth=0", "aria-pressed") == "true"
    slide(page, "place", 0.5)  # what is inverted is a shape like any other
    settle(page)
    page.select_option("#half", "low")
    page.click("#redraw")
    until(page, "studio.strip[0].name == 'completed 1'", 90)


def test_a_bad_file_gets_a_sentence(page):
    page.set_input_files("#file", {"name": "broken.stl", "mimeType": "model/stl", "buffer": b"not a mesh"})
    until(page, "document.getElementById('note').textContent")
    assert "cannot be read" in page.inner_text("#note") or "broken" in page.inner_text("#note")
    page.errors.clear()  # Chromium logs the answer of 400


def test_without_training_shapes_the_nearest_is_not_known(page):
    settle(page)
    page.click("#nearest")
    until(page, "document.getElementById('note').textContent")
    assert "training shapes" in page.inner_text("#note")
    page.errors.clear()


def test_a_stale_answer_is_dropped(page):
    held = []
    page.route("**/shapes", lambda route: held.append(route))
    slide(page, "truncation", 0.2)
    end = time.monotonic() + 10
    while not held and time.monotonic() < end:
        page.wait_for_timeout(20)
    page.unroute("**/shapes")
    page.click("#classes button >> nth=1")
    until(page, "studio.shown.shape.class == 'table'")
    for route in held:
        with contextlib.suppress(Error):  # the page no longer waits for it
            route.continue_()
    page.wait_for_timeout(300)
    assert page.evaluate("studio.shown.shape.class") == "table"


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(390, 844, "light"), (390, 844, "dark"), (1024, 768, "light"), (1440, 900, "dark")],
)
def test_every_size_keeps_the_rules(chromium, address, width, height, scheme):
    page = chromium.open(address, width, scheme, height)
    until(page, "studio.strip.length == 12 && !document.querySelector('#strip .wait')")
    settle(page)
    page.click("#keep")
    until(page, "!document.querySelector('#shelf .wait')")
    assert overflow(page) <= 0
    keep_picture(page, f"studio-{width}-{scheme}", full=False)
    assert violations(page) == []
    page.click("#open-wall")
    until(page, "!document.querySelector('#wall-shapes .wait')")
    keep_picture(page, f"studio-wall-{width}-{scheme}", full=False)
    assert violations(page) == []
    assert page.errors == []


def test_the_keyboard_is_enough(page):
    settle(page)
    page.focus("#view")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("studio.stage.camera.yaw") == pytest.approx(43.7)
    page.keyboard.press("0")
    page.keyboard.press("k")
    assert page.evaluate("studio.kept.length") == 1
    page.focus("#strip .thumb >> nth=0")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("studio.state.at") == "1"
    page.focus("#place")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("studio.state.place") == pytest.approx(0.01)
    page.focus("#open-wall")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('wall').open && !document.querySelector('#wall-shapes .wait')")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('wall').open")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {
        "seed",
        "truncation",
        "threshold",
        "smoothness",
        "place",
        "to",
        "keep",
        "share",
        "choose",
        "view",
    } <= reached


def test_a_server_that_restarts_in_mid_walk_is_waited_for(chromium, holder):
    with serving(holder) as running:
        port = running.port
        page = chromium.open(f"http://127.0.0.1:{port}/")
        until(page, "studio.strip.length == 12 && studio.shown && !document.querySelector('#strip .wait')")
        page.click("#play")
        until(page, "studio.state.place > 0.05")
    until(page, "document.getElementById('note').textContent.includes('Trying again')")
    with serving(holder, port=port):
        until(page, "!document.getElementById('note').textContent")
        before = page.evaluate("studio.grids.size")
        until(page, f"studio.grids.size > {before}")
        page.click("#play")


def test_with_keys_the_page_asks_for_one(chromium, holder, tmp_path):
    from gan3d.serving.keys import Keys, add_key

    key = add_key(tmp_path / "keys", "alice")
    with serving(holder, keys=Keys(tmp_path / "keys")) as running:
        page = chromium.open(f"http://127.0.0.1:{running.port}/")
        page.fill("#key", key)
        page.press("#key", "Enter")
        until(page, "studio.shown")


def test_the_offline_page_draws_as_python_does(chromium, sampler, tmp_path):
    path = write_studio(sampler.model, "tiny", tmp_path / "studio.html")
    page = chromium.open(path.as_uri())
    until(page, "studio.strip.length == 12 && !document.querySelector('#strip .wait')")
    np.testing.assert_array_equal(shown(page), sampler.shapes(0, 1, 0)[0])
    drawn = page.evaluate(
        "(async () => { const found = []; for (const seed of ['0', '7', '9223372036854775807'])"
        " for (const vector of await studio.engine.latents('tiny', seed, 20)) found.push(Array.from(vector));"
        " return JSON.stringify(found); })()"
    )
    expected = np.concatenate([draw_latents(seed, 20, 8) for seed in (0, 7, 2**63 - 1)])
    np.testing.assert_array_equal(np.array(json.loads(drawn), np.float32), expected)
    page.click("#classes button >> nth=1")
    until(page, "studio.shown.shape.class == 'table'")
    slide(page, "truncation", 0.3)
    np.testing.assert_array_equal(
        shown(page), sampler.binary(sampler.occupancy(draw_latents(0, 1, 8), [1], truncation=0.3))[0]
    )
    page.click("#blocks")
    for name in MESHES:
        with page.expect_download() as download:
            page.click(f"#files button:text-is('{name.upper()}')")
        download.value.save_as(tmp_path / f"shape.{name}")
        mesh = trimesh.load(tmp_path / f"shape.{name}", force="mesh")
        assert mesh.volume == pytest.approx(shown(page).mean(), rel=1e-4)
    assert violations(page) == []
    assert (page.errors, page.foreign) == ([], [])


@pytest.mark.parametrize("classes", [("chair", "table"), ("shape",)])
def test_the_offline_page_draws_with_all_parts(chromium, tmp_path, classes):
    fields = {"widths": (12, 8, 4), "occupancy": (0.3, 0.2, 0.2)}
    fields |= {"mirror": (1, 0)[: len(classes)], "symmetric": (0.7, 0.0)[: len(classes)]}
    sampler = Sampler(tiny_with_all_parts(2, classes, **fields))
    vectors, labels = draw_latents(0, 6, 8), np.arange(6) % len(classes)
    expected = sampler.occupancy(vectors, labels, truncation=0.8)
    page = chromium.open(write_studio(sampler.model, "tiny", tmp_path / "studio.html").as_uri())
    until(page, "studio.strip.length == 12")
    drawn = page.evaluate(
        "(rows) => rows.map(([vector, label]) => Array.from(studio.engine.generator.draw(vector, label, 0.8)))",
        [[vector.tolist(), int(label)] for vector, label in zip(vectors, labels, strict=True)],
    )
    np.testing.assert_allclose(np.array(drawn).reshape(expected.shape), expected, atol=5e-4)
    threshold = float(np.median(expected))
    assert ((np.array(drawn).reshape(expected.shape) > threshold) != (expected > threshold)).mean() < 1e-3
    assert (page.errors, page.foreign) == ([], [])
