"""Logs of the server: one line per record, as text or JSON, and repeated warnings once a minute."""

import json
import logging
import time
from typing import Any, TextIO

FIELDS = ("request_id", "client", "key", "method", "path", "status", "seconds")  # of the line about a request
EVERY = 60.0  # seconds between two lines of the same kind


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and what is known of the request."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: vars(record)[name] for name in FIELDS if vars(record).get(name) is not None}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class OncePerMinute(logging.Filter):
    """Passes a message once per minute, whatever its arguments: floods of connections do not fill the disk."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = str(record.msg)[:80]
        now = time.monotonic()
        if now - self._last.get(kind, -EVERY) < EVERY:
            return False
        self._last[kind] = now
        return True


def configure_logs(form: str, stream: TextIO) -> None:
    """Write the logs of this process to a stream, as "text" or "json"."""
    handler = logging.StreamHandler(stream)
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("gan3d.serving").setLevel(logging.INFO)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # warns about compiling for several sizes
    for name in ("uvicorn.error", "asyncio", "gan3d.serving.connections"):
        logging.getLogger(name).addFilter(OncePerMinute())
