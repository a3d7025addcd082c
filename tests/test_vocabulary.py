"""Retired names and phrases do not come back, in code, tests, docs or pages."""

import re

import pytest
from paths import REPOSITORY

# names that were replaced by the field's terms
NAMES = r"""
    (?:Rhythm | Arena | Judge | Observer | Gallery | Checkup | Recorder | Snapshot | Guard
      | by_heart | impatient | saved_of | rows_of | run_of | bury | buried | begun | towards)(?![\w-])
  | (?:Watch | Leg | Meeting | Silent | Together | Lines | Lost | Turn)[(:]
"""
# phrases that a native engineer would not write
PHRASES = r"""
    by\ heart | the\ house | rhythm | is\ heard | are\ heard | makes?\ no\ sense | checkups? | ailments?
  | there\ (is|are)[.;,)] | stands?\ in\b | mended | to\ mend | mend\ (it|that|what)
  | (one|row|rows|shapes?|samples?|images|steps?|colou?rs?|channels|bytes|line|lines|file|picture|numbers?|folder|score
    |process|plot|core|second|vector|bias|grid|grids|draw|draws)
    \ an?\ (class|stage|shape|resolution|voxel|score|split|row|request|step|file|trial|worker|format|command|part)\b
"""
ALLOWED = {
    "tests/test_vocabulary.py": "names them",
}
FOLDERS = ("src", "tests", "docs", "benchmarks", "recipes", "pretrained", ".github")
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".html", ".j2", ".js", ".css", ".txt"}


def texts() -> list[str]:
    found = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*") if path.suffix in SUFFIXES]
    found += [
        path for path in REPOSITORY.glob("*") if path.suffix in SUFFIXES or path.name in ("Makefile", "Dockerfile")
    ]
    names = sorted(str(path.relative_to(REPOSITORY)) for path in found if path.is_file())
    return [name for name in names if "/results/" not in name and name not in ALLOWED]


@pytest.mark.parametrize("name", texts())
def test_no_retired_word_is_left(name):
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    pattern = rf"(?<![\w.'/-])(?:{NAMES})" if name.endswith(".py") else r"(?!)"
    found = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()}"
        for expression, flags in ((pattern, re.X), (rf"\b(?:{PHRASES})", re.X | re.I))
        for match in re.finditer(expression, text, flags)
    ]
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_name():
    assert re.search(rf"\b(?:{PHRASES})", "eight shapes a class", re.X)
    assert re.search(rf"\b(?:{PHRASES})", "of those that there are.", re.X)
    assert not re.search(rf"\b(?:{PHRASES})", "eight shapes per class", re.X)
    assert re.search(rf"(?<![\w.'/-])(?:{NAMES})", "class Rhythm:", re.X)
