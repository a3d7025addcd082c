"""The usual names of splits, grids, labels and class names in public data sets, in one table.

Folders, files and keys of array files are read by the same rules. A name is cut into words at punctuation, between
lower and upper case, and between letters and digits; words are compared in NFC, regardless of case and plural. So
`X_train`, `xTrain`, `train_voxels`, `Voxels-Test` and `training_images0` all tell a split and a role.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

Role = Literal["grids", "labels", "classes"]

SPLIT_WORDS = {
    "train": ("train", "training", "trn", "trainset", "learn", "learning"),
    "validation": (
        "val",
        "valid",
        "validation",
        "validate",
        "vali",
        "dev",
        "devel",
        "development",
        "eval",
        "evaluation",
    ),
    "test": ("test", "testing", "tst", "testset", "holdout", "heldout"),
}
_SHORT_SPLITS = {"tr": "train", "va": "validation", "te": "test", "ts": "test"}  # only beside x or y: X_tr
GRID_WORDS = (  # best first
    ("voxel", "vox", "voxelgrid"),
    ("x",),
    ("instance",),
    ("grid", "volume", "vol", "occupancy", "occupancie", "occ", "cube", "binvox"),
    ("image", "img", "shape", "model", "object", "sample", "input", "feature", "mesh", "meshe"),
    ("data", "arr", "array", "dataset", "set", "point"),
)
LABEL_WORDS = ("y", "label", "lbl", "target", "class", "classe", "category", "categorie", "cat", "gt", "annotation")
_NAME_WORDS = ("name", "map", "mapping", "dict", "dictionary", "legend", "list", "lookup")  # beside a label's word
_FILLERS = {"split", "set", "data", "dataset", "all", "full", "subset", "part", "batch", "file", "array", "arr", "ply",
            "id", "ids", "idx", "index", "one", "hot", "onehot", "packed", "h", "hdf"}  # fmt: skip
_PIECES = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_GRID_TIERS = {word: tier for tier, words in enumerate(GRID_WORDS) for word in words}


class Word(NamedTuple):
    """A word of a name in lower case, and where it stands."""

    text: str
    start: int
    stop: int


class Name(NamedTuple):
    """What a name tells.

    Attributes:
        split: train, validation or test, if it names one.
        role: what an array or file of this name holds, if it says so.
        tier: index into GRID_WORDS; smaller is more telling.
        rest: its other words, without numbers and fillers.
    """

    split: str | None
    role: Role | None
    tier: int
    rest: tuple[str, ...]


def nfc(name: str) -> str:
    """The composed Unicode form, in which names are compared, stored and shown."""
    return unicodedata.normalize("NFC", name)


def _glued() -> dict[str, tuple[str, str]]:
    """Two words written as one, such as `xtrain` and `testlabels`."""
    roles = [*LABEL_WORDS, *_GRID_TIERS]
    pairs: dict[str, tuple[str, str]] = {}
    for split in (word for words in SPLIT_WORDS.values() for word in words):
        for role in (*roles, *(f"{role}s" for role in roles if len(role) > 1)):
            pairs |= {split + role: (split, role), role + split: (role, split)}
    for split in _SHORT_SPLITS:
        pairs |= {role + split: (role, split) for role in ("x", "y")}
    for label in ("class", "label", "target", "category"):
        pairs |= {label + "names": (label, "names"), label + "id": (label, "id"), label + "ids": (label, "id")}
    return pairs


_GLUED = _glued()
_SPLITS = {word: split for split, words in SPLIT_WORDS.items() for word in words}


def split_of_word(word: str) -> str | None:
    """The split that a word names, regardless of case and plural."""
    word = nfc(word).casefold()
    return _SPLITS.get(word) or _SPLITS.get(word.removesuffix("s"))


def words_of(name: str) -> list[Word]:
    """The words and numbers of a name, with their places in it."""
    result = []
    for match in _PIECES.finditer(name):
        cuts = [0, *(cut.start() for cut in _CAMEL.finditer(match[0])), len(match[0])]
        for start, stop in pairwise(cuts):
            text = match[0][start:stop].casefold()
            parts = _GLUED.get(text, (text,)) if split_of_word(text) is None else (text,)
            at = match.start() + start
            for part in parts:
                result.append(Word(part, at, at + len(part)))
                at += len(part)
    return result


@lru_cache(maxsize=4096)
def parse_name(name: str) -> Name:
    """What the name of an array, or of a file without its extension, tells about its content."""
    pieces = [word.text for word in words_of(nfc(name))]
    words = [word for word in pieces if not word.isdigit()]
    singular = [word.removesuffix("s") if len(word) > 1 else word for word in words]
    has_xy = "x" in words or "y" in words
    split, label, tier, other = None, None, len(GRID_WORDS), []
    names = any(word in _NAME_WORDS for word in singular) or "to" in words or pieces[1:2] == ["2"]  # idx2class
    for word, single in zip(words, singular, strict=True):
        found = split_of_word(word) or (_SHORT_SPLITS.get(word) if has_xy else None)
        if found and split is None:
            split = found
        elif single in LABEL_WORDS or word in LABEL_WORDS:
            label = word
        elif single in _GRID_TIERS or word in _GRID_TIERS:
            tier = min(tier, _GRID_TIERS.get(single, _GRID_TIERS.get(word, tier)))
        elif word not in _FILLERS and not (names and single in _NAME_WORDS):
            other.append(word)
    role: Role | None = None
    if names and (label or words in (["names"], ["shape", "names"])):
        role = "classes"
    elif label:
        role = "labels"
    elif tier < len(GRID_WORDS):
        role = "grids"
    return Name(split, role, tier, tuple(other))


def is_filler(word: str) -> bool:
    """Whether a word of a folder's or file's name tells neither a class nor a split."""
    single = word.removesuffix("s") if len(word) > 1 else word
    return word.isdigit() or word in _FILLERS or single in _GRID_TIERS or single in LABEL_WORDS


@lru_cache(maxsize=4096)
def cut_split(name: str) -> tuple[str, str, str] | None:
    """The split that a name begins or ends with: the split, the rest of the name, and `first` or `last`.

    The rest is empty if only numbers, roles and fillers remain, as in `train_data`, `X_test` or `ply_data_train0`. A
    name with another rest, such as `chair_train`, may also be that of a class, as `test_tube` is.
    """
    name = nfc(name)
    words = words_of(name)
    numbered = [i for i, word in enumerate(words[:-1]) if word.text in LABEL_WORDS and words[i + 1].text.isdigit()]
    telling = [i for i, word in enumerate(words) if not is_filler(word.text) or (i in numbered and len(word.text) > 1)]
    for index, place in ((telling[-1:], "last"), (telling[:1], "first")):
        split = split_of_word(words[index[0]].text) if index else None
        if split is None:
            continue
        rest = [i for i in telling if i != index[0]]
        if not rest:
            return split, "", place
        last = rest[-1]
        if last + 1 < len(words) and words[last + 1].text.isdigit() and words[last + 1].start <= words[last].stop + 1:
            last += last + 1 != len(words) - 1 or words[last + 1].start == words[last].stop  # its number, as in class_1
        return split, name[words[rest[0]].start : words[last].stop], place
    return _cut_short(words)


def _cut_short(words: list[Word]) -> tuple[str, str, str] | None:
    """The split of `X_tr` and the like."""
    texts = [word.text for word in words if not word.text.isdigit()]
    if len(texts) == 2 and set(texts) & {"x", "y"}:
        split = next((_SHORT_SPLITS[text] for text in texts if text in _SHORT_SPLITS), None)
        return None if split is None else (split, "", "last")
    return None
