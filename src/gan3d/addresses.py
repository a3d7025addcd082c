"""Addresses with secrets in them: mask them wherever they are shown or stored.

An address may hold a user and a password before its host, and a signature or a token in its query. Neither belongs into
a message, a log, a run's parameters, a model card or a file that goes into Git.
"""

import re
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

HIDDEN = "***"
_ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>`]+")
# the second form: a password with a slash or a question mark that was not escaped
_CREDENTIALS = re.compile(r"^[^/?#]*@|^[^/?#@\[]*:(?!\d*(?:[/?#]|$)).*@")


class Address(NamedTuple):
    """An address without its user and password.

    Attributes:
        url: without them.
        user: None if there is none.
        password: may be empty.
    """

    url: str
    user: str | None
    password: str

    @property
    def identity(self) -> str:
        """The address without its query either: what stays when a signature is renewed."""
        return self.url.partition("#")[0].partition("?")[0]


def parse_address(address: str) -> Address:
    """Split off user and password, which may be percent-encoded."""
    scheme, mark, rest = address.partition("://")
    credentials = _CREDENTIALS.match(rest) if mark else None
    if credentials is None:
        return Address(address, None, "")
    user, _, password = credentials[0][:-1].partition(":")
    return Address(f"{scheme}://{rest[credentials.end() :]}", unquote(user), unquote(password))


def split_address(url: str) -> SplitResult | None:
    """The parts of an address; None if it has none that make sense, as a bracket that is left open or port 99999."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def mask(text: str, *addresses: str | None) -> str:
    """A text with the user, password and query of each address in it replaced by `***`.

    Args:
        addresses: whose secrets are replaced wherever they appear, also outside an address.
    """
    for secret in sorted({each for address in addresses if address for each in _secrets(address)}, key=len)[::-1]:
        text = text.replace(secret, HIDDEN)
    return _ADDRESS.sub(lambda found: _masked(found[0]), text)


def _masked(address: str) -> str:
    parsed = parse_address(address)
    scheme, _, rest = parsed.url.partition("://")
    rest, query, _ = rest.partition("?")
    # a full stop or a bracket after an address belongs to the sentence
    tail = re.search(r"[).,;:\]}]*$", address)[0] if query else ""  # type: ignore[index]
    user = "" if parsed.user is None else f"{HIDDEN}@"
    return f"{scheme}://{user}{rest}{f'?{HIDDEN}{tail}' if query else ''}"


def _secrets(address: str) -> list[str]:
    """The password, the query and its values, as they are written and decoded; short ones would match by chance."""
    parsed = parse_address(address)
    raw = address.partition("://")[2].rpartition("@")[0].partition(":")[2]
    query = parsed.url.partition("#")[0].partition("?")[2]
    values = [pair.partition("=")[2] for pair in query.split("&")]
    found = [parsed.password or parsed.user or "", raw, query, *values]
    return [each for secret in found for each in (secret, unquote(secret)) if len(each) > 3]
