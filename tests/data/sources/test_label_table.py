import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan3d.data.sources.label_table import is_table, read_mapping, read_table
from gan3d.data.sources.labels import Label, find_label
from gan3d.errors import UserError

ROWS = [("Stühle/á 1.off", "Stühle", "Training"), ("b.off", "Tische", "dev"), ("c.off", "Tische", "")]
WANTED = {
    "Stühle/á 1.off": Label("Stühle", "train"),
    "b.off": Label("Tische", "validation"),
    "c.off": Label("Tische", None),
}


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    header=st.sampled_from(
        [
            ("file", "class", "split"),
            ("File", "CLASS", "Split"),
            ("filename", "label", "subset"),
            ("path", "Category", "set"),
        ]
    ),
    form=st.sampled_from(["NFC", "NFD"]),
    order=st.permutations(range(3)),
    mark=st.booleans(),
)
def test_tables_of_all_spreadsheets_are_read(tmp_path_factory, encoding, delimiter, newline, header, form, order, mark):
    lines = [delimiter.join(row[i] for i in order) for row in (header, *ROWS)]
    text = newline.join([f"sep={delimiter}"] * mark + lines) + newline
    if encoding != "cp1252":
        text = unicodedata.normalize(form, text)
    path = tmp_path_factory.mktemp("table") / "labels.csv"
    path.write_bytes(text.encode(encoding))
    table = read_table(path)
    assert table == WANTED
    assert find_label(table, unicodedata.normalize("NFD", "x/Stühle/á 1.off")) is None
    assert find_label(table, unicodedata.normalize("NFD", "Stühle/á 1.off")) == WANTED["Stühle/á 1.off"]
    if not mark:
        assert is_table(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"file,class\na,cup\na,pot\n", "lines 2 and 3"),
        (b"file,class,split\na,cup,sometimes\n", "has the split 'sometimes'"),
        (b"file;class\n;cup\n", "names no file or no class"),
        (b"a,b\n1,2\n", "needs the columns"),
        (b"", "needs the columns"),
        (bytes(range(256)), "cannot be read|needs the columns"),
    ],
)
def test_a_table_with_a_fault_gives_one_sentence(tmp_path, content, says):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        read_table(tmp_path / "t.csv")
    assert "\n" not in str(caught.value)


def test_a_folder_or_pipe_is_no_table(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "missing"):
        with pytest.raises(UserError, match="cannot be read"):
            read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("page", "name"),
    [("cp1252", "Stühle"), ("cp1250", "židle"), ("cp1251", "стул"), ("gb18030", "椅子"), ("cp932", "テーブル")],
)
def test_the_code_page_is_that_of_the_names_in_the_source(tmp_path, page, name):
    (tmp_path / "source").mkdir()
    for number in range(3):
        (tmp_path / f"source/{unicodedata.normalize('NFD', name)} {number}.off").write_text("")
    text = "file;class\n" + "".join(f"{name} {number}.off;{name}\n" for number in range(3))
    (tmp_path / "t.csv").write_bytes(text.encode(page))
    table = read_table(tmp_path / "t.csv", tmp_path / "source")
    assert table == {f"{name} {number}.off": Label(name, None) for number in range(3)}


def test_a_mapping_labels_files_and_folders_and_the_innermost_wins():
    table = read_mapping(
        {"scans/": "chair", "scans/held-out": {"class": "chair", "split": "Testing"}, "odd.off": "lamp"}
    )
    assert find_label(table, "scans/a/1.off") == Label("chair", None)
    assert find_label(table, "scans/held-out/b/2.off") == Label("chair", "test")
    assert find_label(table, "scans/odd.off") == Label("lamp", None)
    assert find_label(table, "scanset/1.off") is None


@pytest.mark.parametrize("value", [{"split": "test"}, {"class": "a", "split": "later"}, {"class": "a", "up": "z"}, ""])
def test_a_mapping_with_a_fault_names_its_key(value):
    if value == "":
        value = {"class": value}
    with pytest.raises(UserError, match=r"^data\.labels\.scans: .* is invalid"):
        read_mapping({"scans": value})
