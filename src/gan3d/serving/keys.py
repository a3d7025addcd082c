"""API keys: a file of names and hashes, of which clients send the keys.

A key is 256 random bits, so a plain SHA-256 of it can neither be guessed nor looked up.
"""

import hashlib
import hmac
import logging
import re
import secrets
from pathlib import Path

from gan3d.errors import UserError
from gan3d.outputs import write_text

log = logging.getLogger("gan3d.serving")


class Keys:
    """The keys of a file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            UserError: when it cannot be read, or a line is not a name and a hash.
        """
        self.path = path
        self._changed = self._stamp()
        self._hashes = read_keys(path)

    def owner(self, key: str) -> str | None:
        """The name of a key, compared with all in constant time; None for an unknown one."""
        digest = hash_key(key)
        found = [name for name, known in self._hashes.items() if hmac.compare_digest(digest, known)]
        return found[0] if found else None

    def refresh(self) -> None:
        """Read the file again if it has changed; keep the old keys if it cannot be read."""
        try:
            if (stamp := self._stamp()) != self._changed:
                self._hashes, self._changed = read_keys(self.path), stamp
                log.info("read %d keys from %s", len(self._hashes), self.path)
        except UserError as error:
            log.warning("still using the keys read before: %s", error)

    def _stamp(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except OSError as error:
            raise UserError(f"{self.path} cannot be read ({error.strerror}): make it with `gan3d key`.") from None
        return status.st_mtime_ns, status.st_size


def hash_key(key: str) -> str:
    """SHA-256 of a key, in hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> dict[str, str]:
    """Hashes by name.

    Raises:
        UserError: when the file cannot be read, is empty, or a line is not a name and a hash.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): make it with `gan3d key`.") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([\w.@-]{1,64})\s+([0-9a-f]{64})\s*", line)
        if not match:
            raise UserError(f"line {number} of {path} is not a name and a SHA-256: add keys with `gan3d key`.")
        if match[1] in found:
            raise UserError(f"line {number} of {path} names {match[1]} again: remove one of the lines.")
        found[match[1]] = match[2]
    if not found:
        raise UserError(f"{path} has no keys: add one with `gan3d key`.")
    return found


def add_key(path: Path, name: str) -> str:
    """Make a key, add its hash to the file, and return the key, which is stored nowhere.

    Raises:
        UserError: for a name with other characters or one that has a key, and a file that cannot be written.
    """
    if not re.fullmatch(r"[\w.@-]{1,64}", name):
        raise UserError(f"{name[:40]!r} cannot name a key: use up to 64 letters, digits and . _ - @.")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a regular file: name another for the keys.")
    if path.exists() and path.stat().st_size and name in read_keys(path):
        raise UserError(f"{path} has a key of {name} already: choose another name, or remove its line.")
    key = secrets.token_urlsafe(32)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    gap = "\n" if before and not before.endswith("\n") else ""
    write_text(path, f"{before}{gap}{name} {hash_key(key)}\n")
    return key
