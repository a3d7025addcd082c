"""The labels of `data.labels`: class and split by file or folder, from a spreadsheet's table or from params.yaml."""

import codecs
import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan3d.data.formats.extensions import stem
from gan3d.data.formats.names import nfc, parse_name, split_of_word, words_of
from gan3d.data.sources.labels import Label
from gan3d.errors import UserError

MAX_TABLE_BYTES = 2**30
_DELIMITERS = (",", ";", "\t", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CODE_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "gb18030", "cp932", "euc_kr", "cp850", "latin-1")
_FILE_WORDS = ("file", "filename", "path", "filepath", "name", "shape", "model", "id")
_SPLIT_WORDS = ("split", "set", "subset", "partition", "fold", "usage", "phase")


def load_labels(labels: Path | Mapping[str, Any] | None, source: Path) -> dict[str, Label] | None:
    """The labels that `data.labels` gives, as a table or a mapping; None if it gives none.

    Raises:
        UserError: see `read_table` and `read_mapping`.
    """
    if labels is None:
        return None
    return read_mapping(labels) if isinstance(labels, Mapping) else read_table(labels, source)


def read_mapping(mapping: Mapping[str, Any]) -> dict[str, Label]:
    """Labels from a mapping of files and folders to a class, or to `{class: …, split: …}`.

    Raises:
        UserError: naming the key whose value is neither.
    """
    table = {}
    for key, value in mapping.items():
        entry = {"class": value} if isinstance(value, str) else value
        split = split_of_word(str(entry["split"])) if isinstance(entry, Mapping) and "split" in entry else None
        is_whole = isinstance(entry, Mapping) and {"class"} <= set(entry) <= {"class", "split"} and entry["class"]
        if not is_whole or ("split" in entry and split is None):
            raise UserError(
                f"data.labels.{key}: {value!r} is invalid: write a class, or {{class: chair, split: train}} with the"
                " split train, validation or test."
            )
        table[_key(key)] = Label(nfc(str(entry["class"])), split)
    return table


def _key(file: str) -> str:
    """A file or folder, as `find_label` looks it up."""
    return nfc(file).replace("\\", "/").removeprefix("./").removesuffix("/")


def read_table(path: Path, source: Path | None = None) -> dict[str, Label]:
    """Read a table with the columns `file`, `class` and, optionally, `split`.

    Commas, semicolons, tabs and bars separate columns. The encoding is UTF-8 or UTF-16, else the code page in which
    most names of files are found in the source, or Windows-1252.

    Args:
        path: the table.
        source: the folder that it is about, if it is one.

    Returns:
        Labels by file or folder in NFC, see `find_label`.

    Raises:
        UserError: if the table cannot be read, lacks a column, names an unknown split, or contradicts itself.
    """
    rows = _read_rows(path, source)
    columns = _find_columns(rows[0]) if rows else {}
    if len(rows) < 2 or not {"file", "class"} <= set(columns):
        raise UserError(f"data.labels: {path} needs the columns `file` and `class`, and may have `split`: add them.")
    table: dict[str, Label] = {}
    lines: dict[str, int] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        file, class_name, word = (
            nfc(row[at].strip()) if (at := columns.get(key)) is not None and at < len(row) else ""
            for key in ("file", "class", "split")
        )
        split = split_of_word(word) if word else None
        if word and split is None:
            raise UserError(
                f"data.labels: line {number} of {path} has the split {word.lower()!r}: use train, validation or test."
            )
        if not class_name or not file:
            raise UserError(f"data.labels: line {number} of {path} names no file or no class: fill it in.")
        key, label = _key(file), Label(class_name, split)
        if table.setdefault(key, label) != label:
            raise UserError(
                f"data.labels: lines {lines[key]} and {number} of {path} give {key} two classes or splits: remove one."
            )
        lines.setdefault(key, number)
    return table


def is_table(path: Path) -> bool:
    """Whether a file begins with the header of such a table."""
    try:
        with path.open("rb") as stream:
            text = decode_table(stream.read(4096)).removeprefix("\ufeff")
        header = next(csv.reader(text.splitlines(), delimiter=_find_delimiter(text)), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return {"file", "class"} <= set(_find_columns(header))


def _read_rows(path: Path, source: Path | None) -> list[list[str]]:
    try:
        if path.exists() and not path.is_file():
            raise OSError(None, "not a regular file")
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise OSError(None, "larger than 1 GiB")
        text = decode_table(path.read_bytes(), source)
        if "\0" in text:
            raise csv.Error("it holds zero bytes")
        text = text.removeprefix("\ufeff")
        first, _, rest = text.partition("\n")
        if first.strip().lower().startswith("sep="):  # of Excel
            text = rest
        return list(csv.reader(text.splitlines(keepends=True), delimiter=_find_delimiter(text)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"data.labels: {path} cannot be read as a CSV ({reason}): check the path and the file."
        ) from None


def decode_table(content: bytes, source: Path | None = None) -> str:
    """Decode a text file: by its byte order mark, else as UTF-8, UTF-16 or in a code page, see `read_table`.

    Raises:
        UnicodeDecodeError: if it is none of these.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding)
    head = content[:4096]
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(zeros) > 1 and 2 * zeros.count(0) > len(zeros):
            return content.decode(encoding)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_code_page(content, source)


def _decode_code_page(content: bytes, source: Path | None) -> str:
    """The text in the code page that gives most of the names in the source; the first of equals."""
    texts = []
    for page in _CODE_PAGES:
        try:
            texts.append(nfc(content.decode(page)))
        except UnicodeDecodeError:
            continue
    names: set[str] = set()
    if source is not None and source.is_dir():
        for _, folders, files in os.walk(source):
            names |= {nfc(stem(name)) for name in (*folders, *files) if not name.isascii()}
    return max(texts, key=lambda text: sum(name in text for name in names))


def _find_delimiter(text: str) -> str:
    """The delimiter that makes the columns of the header known, else the most frequent one in it."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    found = {mark: _find_columns(next(csv.reader([header], delimiter=mark), [])) for mark in _DELIMITERS}
    return max(_DELIMITERS, key=lambda mark: (len({"file", "class"} & set(found[mark])), header.count(mark)))


def _find_columns(header: list[str]) -> dict[str, int]:
    """The columns by their usual names, regardless of case and plural; exact names first."""
    names = [nfc(cell).strip().casefold() for cell in header]
    columns: dict[str, int] = {name: names.index(name) for name in ("file", "class", "split") if name in names}
    for at, name in enumerate(names):
        words = [word.text.removesuffix("s") for word in words_of(name)]
        if at in columns.values() or not words:
            continue
        if any(word in _SPLIT_WORDS for word in words):
            columns.setdefault("split", at)
        elif parse_name(name).role in ("labels", "classes"):
            columns.setdefault("class", at)
        elif words[0] in _FILE_WORDS or words[-1] in _FILE_WORDS:
            columns.setdefault("file", at)
    return columns
