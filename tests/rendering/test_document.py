"""HTML pages: escaped, self-contained, the same bytes for the same values."""

import re
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

from gan3d.rendering import document, pages


def test_values_are_escaped_and_markup_is_kept():
    table = document.table(["<class>", "count"], [["a & b", 1400], [document.Markup("<i>all</i>"), 2]], True)
    assert "<th>&lt;class&gt;</th>" in table
    assert "<td>a &amp; b</td><td class=n>1,400</td>" in table
    assert "<tr class=sum><td><i>all</i></td>" in table
    assert "&lt;b&gt;" in document.tiles([("<b>", 1, "")])
    assert 'alt="&#34;"' in document.image(np.zeros((2, 2, 3), np.uint8), '"')


def test_columns_of_numbers_are_found():
    assert pages.numeric_columns([["a", "1,000", "5%", ""], ["b", 2.5, "10.5%", 1]]) == {1, 2}
    assert pages.numeric_columns([]) == set()


def test_faint_rows_and_given_columns():
    table = document.table(["a", "b"], [["–", "x"], ["1", "y"]], faint=[0], numeric=[0])
    assert "<tr class=faint><td class=n>–</td><td>x</td></tr>" in table


def test_a_page_is_complete_self_contained_and_reproducible(tmp_path):
    parts = ["<p>one</p>", document.image(np.zeros((2, 2, 3), np.uint8), "black")]
    first, second = (document.write(tmp_path / name / "p.html", "A <title>", parts) for name in "ab")
    page = first.read_text(encoding="utf-8")
    assert first.read_bytes() == second.read_bytes()
    assert "<title>A &lt;title&gt;</title>" in page
    assert "<p>one</p>" in page
    assert all(address.startswith("data:") for address in re.findall(r'(?:src|href)="([^"]*)', page))
    assert not re.findall("https?:", page)


def test_names_that_are_not_utf8_keep_their_bytes(tmp_path):
    name = b"caf\xe9.obj".decode("utf-8", "surrogateescape")
    page = document.write(tmp_path / "p.html", "t", [document.table(["file"], [[name]])])
    assert b"caf\xe9.obj" in page.read_bytes()


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        pages.fill_template("compare", title="t")


def test_no_template_loads_anything():
    for template in Path(pages.__file__).parent.glob("templates/*.j2"):
        text = template.read_text(encoding="utf-8")
        assert not re.findall(r"https?:|@import|url\(", text), template
        assert "fetch(" not in text or "connect-src 'self'" in text, template  # the server's page asks its own server
