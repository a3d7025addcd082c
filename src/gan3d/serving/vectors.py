"""Latent vectors in JSON as base64 of little-endian float32, which is exact and short; patterns of base64."""

import base64
import binascii

import numpy as np


def encode_vector(vector: np.ndarray) -> str:
    """Base64 of little-endian float32."""
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def decode_vector(text: str) -> list[float]:
    """Invert `encode_vector`.

    Raises:
        ValueError: if the text is not the base64 of whole float32 numbers.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None
    if len(content) % 4:
        raise ValueError("is not base64 of whole float32 numbers")
    return np.frombuffer(content, "<f4").tolist()


def vector_pattern(length: int) -> str:
    """A regular expression for the base64 of `length` numbers, none of which exceeds 2³³ or is not finite.

    Base64 turns three bytes into four letters, so a float's exponent, in its last byte, starts at another bit in each
    of three floats.
    """
    any_of = "[A-Za-z0-9+/]"
    middle = "[" + "".join(letter for i, letter in enumerate(_LETTERS) if i % 8 < 5) + "]"
    low, high = ("[" + "".join(_LETTERS[start::2]) + "]" for start in (0, 1))
    whole = any_of + "{4}[A-Vg-z01]" + any_of + "{4}" + middle + any_of + "{4}" + f"(?:{low}{any_of}|{high}[A-X])"
    one = any_of + "{4}[A-Vg-z01]"
    rest = ("", one + "[AQgw]==", one + any_of + "{4}" + middle + "[AEIMQUYcgkosw048]=")
    return f"^(?:{whole}){{{length // 3}}}{rest[length % 3]}$"


def bytes_pattern(length: int) -> str:
    """A regular expression for the base64 of `length` bytes."""
    ends = ("", "[A-Za-z0-9+/][AQgw]==", "[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=")
    return f"^(?:[A-Za-z0-9+/]{{4}}){{{length // 3}}}{ends[length % 3]}$"


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
