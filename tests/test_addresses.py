"""Secrets in addresses: found in any spelling, masked everywhere, and never part of what identifies a file."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan3d.addresses import Address, mask, parse_address, split_address
from gan3d.errors import UserError

ADDRESSES = {
    "https://user:Xq7top@example.org/a.zip": ("https://example.org/a.zip", "user", "Xq7top"),
    "http://Xq7top@example.org:8080/a.zip": ("http://example.org:8080/a.zip", "Xq7top", ""),
    "http://user:Xq7%40top@127.0.0.1:5189/a": ("http://127.0.0.1:5189/a", "user", "Xq7@top"),
    "http://user:Xq7@top@host/a": ("http://host/a", "user", "Xq7@top"),
    "http://user:Xq7/top@host/a": ("http://host/a", "user", "Xq7/top"),
    "http://user:Xq7?top#1@host/a": ("http://host/a", "user", "Xq7?top#1"),
    "postgresql+psycopg://me:Xq7top@host/studies": ("postgresql+psycopg://host/studies", "me", "Xq7top"),
}
OPEN = (
    "https://example.org/@scope/a.zip",
    "http://127.0.0.1:5189/a@b.zip",
    "http://[::1]:5000/a@b",
    "s3://bucket/user@example.org/data.zip",
    "sqlite:////tmp/mlruns/mlflow.db",
    "models:/furniture@champion",
    "data/raw/a.zip",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_user_and_password_are_split_off(address):
    assert parse_address(address) == Address(*ADDRESSES[address])
    for text in (address, f"GET {address}, which failed", f"('{address}')"):
        assert "Xq7" not in mask(text)
        assert "***@" in mask(text)


@pytest.mark.parametrize("address", OPEN)
def test_an_address_without_secrets_stays(address):
    assert mask(address) == address
    assert mask(f"see {address}, or not.") == f"see {address}, or not."
    assert parse_address(address) == Address(address, None, "")


def test_a_query_is_masked_and_the_sentence_stays():
    assert mask("get https://h/a.zip?X-Amz-Signature=SECRET&b=1: check it.") == "get https://h/a.zip?***: check it."
    assert mask("(https://u:p@h/a?t=1)") == "(https://***@h/a?***)"
    assert mask(mask("https://u:p@h/a?t=1")) == "https://***@h/a?***"
    assert parse_address("https://u:p@h/a?t=1#x").identity == "https://h/a"


def test_secrets_are_masked_outside_an_address_too():
    address = "https://user:Xq7%2Ftop@h/a?sig=S%2BCRET%3D"
    for text in ("login Xq7/top failed", "login Xq7%2Ftop failed", "sig S+CRET= expired", "sig=S%2BCRET%3D"):
        assert "Xq7" not in mask(text, address)
        assert "CRET" not in mask(text, address)


SECRET = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), min_size=6, max_size=20)


@given(SECRET, SECRET)
def test_any_password_and_any_token(password, token):
    address = f"https://user:{quote(password, safe='')}@example.org/shapes.zip?token={quote(token, safe='')}"
    parsed = parse_address(address)
    assert (parsed.user, parsed.password) == ("user", password)
    assert parsed.identity == "https://example.org/shapes.zip"
    assert mask(f"cannot read {address} today", address) == "cannot read https://***@example.org/shapes.zip?*** today"


def test_every_error_is_masked():
    error = UserError("https://user:Xq7top@h/a.zip?sig=SECRET cannot be read: try again.")
    assert str(error) == "https://***@h/a.zip?*** cannot be read: try again."


@pytest.mark.parametrize("address", ["http://[::1", "http://x:99999/y.zip", "s3://[a/b"])
def test_an_address_without_sense_has_no_parts_and_is_still_shown(address):
    assert split_address(address) is None
    assert mask(f"{address} has a fault", address) == f"{address} has a fault"
    assert split_address("http://x:80/y").port == 80
