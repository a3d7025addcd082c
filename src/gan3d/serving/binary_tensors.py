"""The binary tensor data extension of the Open Inference Protocol, as clients of Triton and KServe send it.

A body then starts with JSON, whose length is in the header Inference-Header-Content-Length; the tensors follow in the
order of the JSON, which says how many bytes each has. Numbers are little-endian; each element of BYTES is its length,
4 bytes, and its content.
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from gan3d.errors import UserError

HEADER = "Inference-Header-Content-Length"
NUMBERS = {"INT64": "<i8", "FP32": "<f4", "UINT8": "u1"}
_LENGTH = 4  # bytes before each element of BYTES


def split_body(body: bytes, length: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body and the tensors behind it, by the value of the header.

    Raises:
        UserError: for a length that is none of the body.
    """
    if length is None:
        return body, b""
    if not (length.isascii() and length.isdigit() and int(length[:20]) <= len(body)):
        raise UserError(f"the header {HEADER} is {length[:40]!r}: send the length of the JSON, in bytes.")
    return body[: int(length)], body[int(length) :]


def split_tensors(content: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The bytes of each tensor.

    Raises:
        UserError: if the sizes do not add up to the content.
    """
    if min(sizes, default=0) < 0 or sum(sizes) != len(content):
        raise UserError(
            f"{len(content):,} bytes follow the JSON, where `binary_data_size` adds up to {sum(sizes):,}: send as many."
        )
    ends = np.cumsum(sizes, dtype=int).tolist()
    return [content[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def decode(content: bytes, datatype: str, name: str) -> list[Any]:
    """The elements of a tensor, flat; texts for BYTES.

    Raises:
        UserError: for another datatype, and bytes that end within an element; names the tensor.
    """
    if datatype == "BYTES":
        return _texts(content, name)
    if datatype not in NUMBERS:
        raise UserError(
            f"{name} has the datatype {datatype[:40]!r}, which cannot be read: send the one of the metadata."
        )
    kind = np.dtype(NUMBERS[datatype])
    if len(content) % kind.itemsize:
        raise UserError(f"{name} has {len(content):,} bytes, which are no whole {datatype}: check `binary_data_size`.")
    return np.frombuffer(content, kind).tolist()


def _texts(content: bytes, name: str) -> list[str]:
    found, at = [], 0
    while at < len(content):
        start = at + _LENGTH
        end = start + int.from_bytes(content[at:start], "little")
        if start > len(content) or end > len(content):
            raise UserError(f"{name} ends within an element: send each with its length before it, in 4 bytes.")
        found.append(content[start:end].decode("utf-8", "surrogateescape"))
        at = end
    return found


def join(answer: dict[str, Any], binary: Sequence[bool]) -> tuple[bytes, dict[str, str]]:
    """An answer, of whose `outputs`, with arrays as data, some follow in binary; and its headers."""
    if not any(binary):
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), {"Content-Type": "application/json"}
    outputs, contents = [], []
    for output, apart in zip(answer["outputs"], binary, strict=True):
        if apart:
            contents.append(output["data"].astype(NUMBERS[output["datatype"]], copy=False).tobytes())
            output = {name: value for name, value in output.items() if name != "data"}
            output["parameters"] = {"binary_data_size": len(contents[-1])}
        outputs.append(output)
    head = orjson.dumps(answer | {"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([head, *contents]), {"Content-Type": "application/octet-stream", HEADER: str(len(head))}
