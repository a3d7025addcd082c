"""The served models, and the threads that load them and replace them when their aliases move."""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gan3d.errors import UserError
from gan3d.sampling.latents import draw_latents
from gan3d.serving.scheduler import largest_slice

log = logging.getLogger("gan3d.serving")

TRIAL = 4  # shapes of a version before it is served


class LoadingError(Exception):
    """The model is not loaded yet."""

    retry_after = 2

    def __init__(self) -> None:
        super().__init__("the model is being loaded: try again in 2 s.")


@dataclass(frozen=True)
class ServedModel:
    """A generator in memory.

    Attributes:
        version: as furniture/3, or the model's folder.
        sampler: draws its shapes.
        engine: what computes them.
    """

    version: str
    sampler: Any
    engine: str = "keras"

    def describe(self) -> dict[str, Any]:
        """What clients need to know about the model."""
        return {"model": self.version, "engine": self.engine, **self.sampler.model.describe()}


def open_keras(address: str, mlruns: Path | None) -> Any:
    """The sampler of a model, computed by Keras; takes and raises what `gan3d.registry.models.open_sampler` does."""
    from gan3d.registry.models import open_sampler

    return open_sampler(address, mlruns)


def open_onnx(address: str, mlruns: Path | None) -> Any:
    """The sampler of a model, computed by ONNX Runtime; takes and raises what `open_keras` does."""
    from gan3d.registry.models import model_folder
    from gan3d.serving.onnx_engine import OnnxSampler

    return OnnxSampler.load(model_folder(address, mlruns))


class ModelHolder:
    """Holds a served model; a request reads `current` once and keeps that model to its end.

    Attributes:
        loaded: the model, once it is loaded.
        reloads: how often the model was replaced.
        failures: how often following the alias failed.
    """

    def __init__(
        self,
        address: str,
        mlruns: Path | None = None,
        open_sampler: Callable[[str, Path | None], Any] = open_keras,
        engine: str = "keras",
    ) -> None:
        """Name a model; `load` loads it.

        Args:
            address: as of `gan3d.registry.models.open_sampler`.
            mlruns: as of `gan3d.registry.models.open_sampler`.
            open_sampler: loads the sampler of an address.
            engine: the name of what it computes with.
        """
        self.address, self.mlruns, self.engine = address, mlruns, engine
        self.reloads = self.failures = 0
        self.loaded: ServedModel | None = None
        self._open_sampler = open_sampler
        self._stop = threading.Event()
        self._last_failure = ""

    @property
    def current(self) -> ServedModel:
        """The model; raises LoadingError before it is loaded."""
        if self.loaded is None:
            raise LoadingError
        return self.loaded

    def load(self) -> "ModelHolder":
        """Load the model.

        Raises:
            UserError: when there is no such model, or its shapes are not finite, all empty or all full.
        """
        self.loaded = self._load()
        return self

    def watch(self, seconds: float) -> None:
        """Poll the alias every so many seconds in a background thread, until `close`."""
        if self.address.startswith("models:/"):
            threading.Thread(target=self._watch, args=(seconds,), name="watch-alias", daemon=True).start()

    def close(self) -> None:
        self._stop.set()

    def refresh(self) -> bool:
        """Replace the model if its address now points to another version; on failure, log and keep the old one."""
        old = self.current
        try:
            if self._version() == old.version:
                return False
            new = self._load()
            new.sampler.compile(largest_slice(new.sampler))  # while the old one keeps serving
            self.loaded = new
        except Exception as error:  # a registry that is down or a damaged version must not stop the server
            self.failures += 1
            if str(error) != self._last_failure:
                self._last_failure = str(error)
                log.warning("still serving %s, since its alias cannot be followed: %s", old.version, error)
            return False
        self._last_failure = ""
        self.reloads += 1
        log.info("now serving %s instead of %s", new.version, old.version)
        return True

    def _watch(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            if self.loaded is not None:
                self.refresh()

    def _version(self) -> str:
        if not self.address.startswith("models:/"):
            return self.address
        from gan3d.registry.fetch import version_name  # imports MLflow, which a folder does not need

        return version_name(self.address, self.mlruns)

    def _load(self) -> ServedModel:
        version = self._version()
        # by version number, since the alias may move between the two calls
        exact = f"models:/{version}" if self.address.startswith("models:/") else self.address
        sampler = self._open_sampler(exact, self.mlruns)
        try_out(sampler, version)  # also compiles for the first request
        return ServedModel(version, sampler, self.engine)


def try_out(sampler: Any, version: str) -> None:
    """Draw a few shapes, one by one.

    Raises:
        UserError: when they are not finite, all empty or all full.
    """
    vectors = draw_latents(0, TRIAL, sampler.model.architecture.latent)
    shares = set()
    for i in range(TRIAL):
        drawn = sampler.finite_occupancy(vectors[i : i + 1], np.array([i % len(sampler.classes)]))
        shares.add(float((drawn > sampler.model.threshold).mean()))
    if shares in ({0.0}, {1.0}):
        what = "empty" if shares == {0.0} else "full"
        raise UserError(
            f"{version} is not served, since its shapes are {what}: choose another version, or train it on."
        )


class Models(Mapping[str, ModelHolder]):
    """Holders by the names of their routes; the first is also served without a name."""

    def __init__(self, holders: Mapping[str, ModelHolder]) -> None:
        self._holders = dict(holders)
        self.failure: Exception | None = None

    @property
    def first(self) -> ModelHolder:
        return next(iter(self._holders.values()))

    @property
    def ready(self) -> bool:
        """Whether all models are loaded."""
        return all(holder.loaded is not None for holder in self._holders.values())

    def load_in_background(self, done: Callable[[Exception | None], None]) -> None:
        """Load all models in a thread, which then calls `done`, with the error if one cannot be loaded."""

        def load() -> None:
            try:
                for holder in self._holders.values():
                    if holder.loaded is None:
                        holder.load()
            except Exception as error:
                self.failure = error
            done(self.failure)
            for holder in self._holders.values() if self.failure is None else ():
                sampler = holder.current.sampler
                sampler.compile(largest_slice(sampler))  # for several requests at once

        threading.Thread(target=load, name="load", daemon=True).start()

    def watch(self, seconds: float) -> None:
        for holder in self._holders.values():
            holder.watch(seconds)

    def close(self) -> None:
        for holder in self._holders.values():
            holder.close()

    def __getitem__(self, name: str) -> ModelHolder:
        return self._holders[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._holders)

    def __len__(self) -> int:
        return len(self._holders)


def parse_models(given: Sequence[str]) -> dict[str, str]:
    """Addresses by name, from [NAME=]ADDRESS, where the address may also be MODEL@ALIAS or MODEL@VERSION.

    Without a name, a registered model has its own, and a folder the last part of its path.

    Raises:
        UserError: when two have the same name, or a name cannot be part of a route.
    """
    found: dict[str, str] = {}
    for text in given:
        name, _, address = text.rpartition("=")
        short = re.fullmatch(r"([^/@:]+)@([^/@:]+)", address)
        if short:
            address = f"models:/{short[1]}/{short[2]}" if short[2].isdigit() else f"models:/{short[1]}@{short[2]}"
        if not name and address.startswith("models:/"):
            name = re.split(r"[/@]", address.removeprefix("models:/"))[0]
        name = name or re.sub(r"[^\w.-]", "-", Path(address).resolve().name) or "model"
        if not re.fullmatch(r"[\w.-]{1,64}", name):
            raise UserError(f"--model {text}: {name[:40]!r} cannot be part of a route: use letters, digits and . _ -.")
        if name in found:
            raise UserError(f"--model {text}: {name} is the name of two models: give one another, as NAME={address}.")
        found[name] = address
    return found
