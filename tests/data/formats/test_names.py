import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan3d.data.formats.names import GRID_WORDS, LABEL_WORDS, SPLIT_WORDS, cut_split, nfc, parse_name

SPLITS = [(split, word) for split, words in SPLIT_WORDS.items() for word in words]
SHAPES = ["{split}_{role}", "{role}_{split}", "{split}/{role}", "{role}-{split}", "{split} {role}s", "{role}{split}"]


def recase(name: str, style: str) -> str:
    return {"lower": name.lower(), "upper": name.upper(), "title": name.title(), "plain": name}[style]


@settings(deadline=None)
@given(
    st.sampled_from(SPLITS),
    st.sampled_from([word for words in GRID_WORDS[:5] for word in words]),
    st.sampled_from(SHAPES),
    st.sampled_from(["lower", "upper", "title", "plain"]),
    st.sampled_from(["", "0", "_1"]),
)
def test_a_key_of_grids_tells_its_split_in_any_spelling(split, word, shape, style, number):
    name = parse_name(recase(shape.format(split=split[1], role=word), style) + number)
    assert (name.split, name.role, name.rest) == (split[0], "grids", ())


@settings(deadline=None)
@given(
    st.sampled_from(SPLITS), st.sampled_from(LABEL_WORDS), st.sampled_from(SHAPES), st.sampled_from(["lower", "title"])
)
def test_a_key_of_labels_tells_its_split_in_any_spelling(split, word, shape, style):
    name = parse_name(recase(shape.format(split=split[1], role=word), style))
    assert (name.split, name.role, name.rest) == (split[0], "labels", ())


@pytest.mark.parametrize(
    ("name", "split", "role"),
    [
        ("X_tr", "train", "grids"),
        ("y_te", "test", "labels"),
        ("XTrain", "train", "grids"),
        ("trainY", "train", "labels"),
        ("Volume", None, "grids"),
        ("class_names", None, "classes"),
        ("label_map", None, "classes"),
        ("idx2class", None, "classes"),
        ("shape_names", None, "classes"),
        ("ply_data_train0", "train", "grids"),
        ("tr", None, None),
        ("trainer", None, None),
        ("contest", None, None),
    ],
)
def test_usual_names(name, split, role):
    assert parse_name(name)[:2] == (split, role)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("train", ("train", "", "last")),
        ("Training_Data", ("train", "", "last")),
        ("X_val.1", ("validation", "", "last")),
        ("chair_train", ("train", "chair", "last")),
        ("night_stand-test2", ("test", "night_stand", "last")),
        ("class_1_train", ("train", "class_1", "last")),
        ("class1_train", ("train", "class1", "last")),
        ("modelnet10_train_32", ("train", "modelnet10", "last")),
        ("test_tube", ("test", "tube", "first")),
        ("latest", None),
        ("chair", None),
    ],
)
def test_a_split_at_either_end_of_a_name(name, found):
    assert cut_split(name) == found


@settings(deadline=None)
@given(st.text())
def test_any_name_can_be_parsed_in_both_unicode_forms(name):
    decomposed = unicodedata.normalize("NFD", name)
    assert nfc(decomposed) == nfc(name)
    assert parse_name(decomposed) == parse_name(name)
    assert cut_split(decomposed) == cut_split(name)
