"""Sheets, strips, comparisons and animations: sizes, order and files."""

import numpy as np
import pytest
from PIL import Image

from gan3d.rendering import sheets, voxels


@pytest.fixture
def shapes() -> np.ndarray:
    return np.random.default_rng(0).random((5, 4, 4, 4)) > 0.6


def test_sheet_places_every_shape_in_order(shapes):
    colors = [voxels.class_color(i) for i in range(5)]
    picture = sheets.sheet(shapes, 3, size=48, colors=colors)
    assert picture.shape == (96, 144, 3)
    for i, shape in enumerate(shapes):
        down, right = divmod(i, 3)
        tile = picture[down * 48 : down * 48 + 48, right * 48 : right * 48 + 48]
        assert np.array_equal(tile, voxels.render(shape, 48, color=colors[i]))
    assert (picture[48:, 96:] == 255).all()


def test_titles_and_captions_are_drawn(shapes):
    plain = sheets.sheet(shapes, 5, size=64)
    labelled = sheets.sheet(shapes, 5, titles=["a long class name"], captions=["one", "two"], size=64)
    assert labelled.shape[0] > plain.shape[0]
    assert labelled.shape[1] > plain.shape[1] + 64
    assert (labelled[:, : labelled.shape[1] - plain.shape[1]] < 128).any()
    assert (labelled[64:] < 128).any()


def test_a_class_keeps_its_colour(shapes):
    alone = sheets.by_class(shapes[:2], ["table", "table"], classes=["chair", "table"])
    both = sheets.by_class(shapes[:2], ["chair", "table"], classes=["chair", "table"])
    half = alone.shape[1] // 2
    assert np.array_equal(alone[:64, half:], both[:64, half:])
    assert not np.array_equal(alone[:64, :half], both[:64, :half])
    assert sheets.colors_of(["table"]) == [voxels.class_color(0)]


def test_strip_and_comparison(shapes):
    assert sheets.strip(shapes, size=32).shape == (32, 160, 3)
    picture = sheets.comparison({"real": shapes, "generated": shapes[:2]}, size=32)
    assert picture.shape[0] == 64
    margin = picture.shape[1] - 160
    assert np.array_equal(picture[:32, margin : margin + 64], picture[32:, margin : margin + 64])
    assert (picture[32:, margin + 64 :] == 255).all()


def test_mixed_resolutions_in_one_sheet(shapes):
    picture = sheets.sheet([shapes[0], np.ones((16, 16, 16), bool)], 2, size=32)
    assert picture.shape == (32, 64, 3)


def test_png_is_lossless(shapes, tmp_path):
    picture = sheets.strip(shapes, size=32)
    path = sheets.save_png(tmp_path / "new" / "strip.png", picture)
    assert np.array_equal(np.asarray(Image.open(path)), picture)


@pytest.mark.parametrize(("bounce", "count"), [(False, 6), (True, 10)])
def test_animation(tmp_path, bounce, count):
    frames = sheets.turntable(np.pad(np.ones((4, 2, 1), bool), ((0, 0), (0, 2), (0, 3))), 6, 48)
    path = sheets.animate(tmp_path / "new" / "turn.gif", frames, seconds=0.2, bounce=bounce)
    with Image.open(path) as movie:
        assert (movie.n_frames, movie.info["duration"], movie.info["loop"]) == (count, 200, 0)
        for i, frame in enumerate(frames):
            movie.seek(i)
            shown = np.asarray(movie.convert("RGB")).astype(int)
            assert np.abs(shown - frame).mean() < 3
            assert (shown[0, 0] == 255).all()


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["chair", "table"], ["chair", "table"]),
        (["Stu\u0308hle", "стулья", "καρέκλα"], ["Stühle", "стулья", "καρέκλα"]),
        (["chair", "椅子", "テーブル"], ["chair", "class 2", "class 3"]),
        (["椅子", "chair", "椅子"], ["class 1", "chair", "class 1"]),
    ],
)
def test_names_without_glyphs_become_numbers(names, shown):
    assert sheets.printable(names) == shown


def test_a_number_is_that_of_the_class_and_not_of_the_row(shapes):
    classes = ["chair", "桌子", "椅子"]
    assert sheets.printable(["椅子"], classes) == ["class 3"]
    labels = np.array([1, 1, 2, 2])
    picture = sheets.samples_sheet(shapes[:4], labels, classes, "y", size=64)
    numbered = sheets.samples_sheet(shapes[:4], labels, ["chair", "class 2", "class 3"], "y", size=64)
    assert np.array_equal(picture, numbered)


def test_accents_are_drawn_with_their_glyphs(shapes):
    accented, plain, boxes = (
        sheets.sheet(shapes[:1], 1, titles=[title], size=64) for title in ("Stühle", "Stuhle", "St\ufffdhle")
    )
    assert accented.shape == plain.shape or not np.array_equal(accented, plain)
    assert not (accented.shape == boxes.shape and np.array_equal(accented, boxes))
