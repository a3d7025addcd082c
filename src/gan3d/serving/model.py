"""The served model, and the thread that replaces it when its alias moves."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan3d.registry.fetch import version_name
from gan3d.registry.models import open_sampler
from gan3d.sampling.sampler import Sampler

log = logging.getLogger("gan3d.serving")


@dataclass(frozen=True)
class ServedModel:
    """A generator in memory; `name` is its version, as gan3d/3, or its folder."""

    name: str
    sampler: Sampler

    def describe(self) -> dict[str, Any]:
        """What clients need to know about the model."""
        return {"model": self.name, **self.sampler.model.describe()}


class ModelHolder:
    """Holds the served model; a request reads `current` once and keeps that model to its end.

    Attributes:
        reloads: how often the model was replaced.
        failures: how often following the alias failed.
    """

    def __init__(self, address: str, mlruns: Path | None = None) -> None:
        """Load a model.

        Args:
            address: as of `gan3d.registry.models.open_sampler`.
            mlruns: as of `gan3d.registry.models.open_sampler`.

        Raises:
            UserError: when there is no such model.
        """
        self.address, self.mlruns = address, mlruns
        self.reloads = self.failures = 0
        self.current = self._load()
        self._stop = threading.Event()
        self._last_failure = ""

    def watch(self, seconds: float) -> None:
        """Poll the alias every so many seconds in a background thread, until `close`."""
        if self.address.startswith("models:/"):
            threading.Thread(target=self._watch, args=(seconds,), name="watch-alias", daemon=True).start()

    def close(self) -> None:
        self._stop.set()

    def refresh(self) -> bool:
        """Replace the model if its address now points to another version; on failure, log and keep the old one."""
        try:
            if version_name(self.address, self.mlruns) == self.current.name:
                return False
            old, self.current = self.current, self._load()
        except Exception as error:  # a registry that is down or a damaged version must not stop the server
            self.failures += 1
            if str(error) != self._last_failure:
                self._last_failure = str(error)
                log.warning("still serving %s, since its alias cannot be followed: %s", self.current.name, error)
            return False
        self._last_failure = ""
        self.reloads += 1
        log.info("now serving %s instead of %s", self.current.name, old.name)
        return True

    def _watch(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            self.refresh()

    def _load(self) -> ServedModel:
        name = version_name(self.address, self.mlruns)
        # by version number, since the alias may move between the two calls
        exact = f"models:/{name}" if self.address.startswith("models:/") else self.address
        sampler = open_sampler(exact, self.mlruns)
        sampler.shapes(0, 1, seed=0)  # compile before the first request
        return ServedModel(name, sampler)
