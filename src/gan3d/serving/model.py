"""The model that is served now, and the watch that exchanges it when its alias moves."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan3d import model_file
from gan3d.registry import fetch
from gan3d.sampling.sampler import Sampler

log = logging.getLogger("gan3d.serving")


@dataclass(frozen=True)
class Loaded:
    """A generator in memory; `name` is that of its version, as gan3d/3, or of its folder."""

    name: str
    sampler: Sampler

    def facts(self) -> dict[str, Any]:
        """What a client may want to know."""
        own = self.sampler.model
        return {
            "model": self.name,
            "classes": list(own.architecture.classes),
            "resolution": own.architecture.resolution,
            "latent": own.architecture.latent,
            "threshold": own.threshold,
            "up": own.up,
        }


class Holder:
    """Holds what is served; whoever draws takes `current` once and keeps it to the end of the request.

    Attributes:
        reloads, failures: how often the model was exchanged, and how often that was impossible.
    """

    def __init__(self, model: str, mlruns: Path) -> None:
        """Load a model.

        Args:
            model: a folder or a URI, as `gan3d.registry.fetch.resolve` takes it.

        Raises:
            UserError: when there is no such model.
        """
        self.model, self.mlruns = model, mlruns
        self.reloads = self.failures = 0
        self.current = self._load()
        self._stop = threading.Event()
        self._complaint = ""

    def watch(self, seconds: float) -> None:
        """Look every so many seconds whether the alias has moved, in a thread of its own, until `close`."""
        if self.model.startswith("models:/"):
            threading.Thread(target=self._watch, args=(seconds,), name="watch", daemon=True).start()

    def close(self) -> None:
        self._stop.set()

    def refresh(self) -> bool:
        """Exchange the model if its name stands for another version now; what is wrong is logged, and the old stays."""
        try:
            if fetch.version_name(self.model, self.mlruns) == self.current.name:
                return False
            old, self.current = self.current, self._load()
        except Exception as error:  # the registry may be away, a version damaged: those who are served do not care
            self.failures += 1
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning("%s is served on, since its alias cannot be followed: %s", self.current.name, error)
            return False
        self._complaint = ""
        self.reloads += 1
        log.info("%s is served now instead of %s", self.current.name, old.name)
        return True

    def _watch(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            self.refresh()

    def _load(self) -> Loaded:
        name = fetch.version_name(self.model, self.mlruns)
        # by its number, since the alias may move meanwhile
        exact = f"models:/{name}" if self.model.startswith("models:/") else self.model
        sampler = Sampler(model_file.load(fetch.resolve(exact, self.mlruns)))
        sampler.shapes(0, 1, seed=0)  # the first call is slow
        return Loaded(name, sampler)
