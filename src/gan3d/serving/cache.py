"""Answers kept for a while: a request to a version has one answer."""

import hashlib
from dataclasses import dataclass, field

from cachetools import LRUCache

from gan3d import __version__

LARGEST = 8  # one part in so many of the cache is the largest answer that is kept


@dataclass(frozen=True)
class Answer:
    """Body, media type and headers of a response; the body holds `count` shapes."""

    content: bytes
    media_type: str
    count: int
    headers: dict[str, str] = field(default_factory=dict)


class AnswerCache:
    """The least recently used answers are dropped first."""

    def __init__(self, max_bytes: int) -> None:
        self._answers: LRUCache[str, Answer] = LRUCache(max(1, max_bytes), getsizeof=lambda answer: len(answer.content))

    @property
    def size(self) -> int:
        """Bytes of all bodies."""
        return int(self._answers.currsize)

    def get(self, tag: str) -> Answer | None:
        return self._answers.get(tag)

    def put(self, tag: str, answer: Answer) -> None:
        if len(answer.content) * LARGEST <= self._answers.maxsize:
            self._answers[tag] = answer


def answer_tag(version: str, engine: str, request: str) -> str:
    """The ETag of an answer, known before it is drawn: of what determines its bytes."""
    determined_by = "\n".join((__version__, version, engine, request))
    return f'"{hashlib.sha256(determined_by.encode()).hexdigest()[:32]}"'


def matches(header: str | None, tag: str) -> bool:
    """Whether If-None-Match names the tag (RFC 9110, 13.1.2: a weak comparison)."""
    if header is None:
        return False
    return header.strip() == "*" or tag in [part.strip().removeprefix("W/") for part in header.split(",")]
