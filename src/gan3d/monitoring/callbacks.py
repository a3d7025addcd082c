"""Callbacks of a training besides MLflow: a progress bar, a folder of sample sheets, samples before the first step."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gan3d.model_file import TrainedModel
from gan3d.monitoring.progress import INTERVAL
from gan3d.rendering.sheets import samples_sheet, save_png
from gan3d.training import batches
from gan3d.training.callback import Callback, Monitor, Row
from gan3d.training.recipe import Recipe


class CallbackList(Callback):
    """Several callbacks as one; their records are merged."""

    def __init__(self, *callbacks: Callback):
        self.callbacks = callbacks

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for callback in self.callbacks:
            merged |= callback.on_train_begin(images, rows, record)
        return merged

    def on_log(self, row: Row) -> None:
        for callback in self.callbacks:
            callback.on_log(row)

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        for callback in self.callbacks:
            callback.on_samples(images, voxels, labels)

    def on_warning(self, images: int, message: str) -> None:
        for callback in self.callbacks:
            callback.on_warning(images, message)


class SampleSheets(Callback):
    """Writes a sample sheet of each sampling into a folder; keeps the samples for the page."""

    def __init__(self, folder: Path, classes: list[str], up: str):
        self.folder, self.classes, self.up = folder, classes, up
        self.frames: list[tuple[int, np.ndarray]] = []
        self.labels = np.zeros(0, np.int64)

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        self.folder.mkdir(parents=True, exist_ok=True)
        if images == 0:
            for old in self.folder.glob("*.png"):
                old.unlink()
        return {}

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        self.frames.append((images, voxels))
        self.labels = labels
        save_png(self.folder / f"{images:09d}.png", samples_sheet(voxels, labels, self.classes, self.up))


class FirstSamples(Callback):
    """Shows samples of the fixed latents before the first step, to callbacks that come earlier in the list."""

    def __init__(self, monitor: Monitor, start: TrainedModel, recipe: Recipe, *watchers: Callback):
        self.monitor, self.start, self.recipe, self.watchers = monitor, start, recipe, watchers

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        if images == 0:
            drawn = self.monitor.sample({"ema": list(self.start.ema.values())}, batches.alpha(0, self.recipe))
            for watcher in self.watchers:
                watcher.on_samples(0, *drawn)
        return {}


class ProgressBar(Callback):
    """Shows images seen, images per second, time left, and the latest losses."""

    def __init__(self, title: str, images: int):
        self.title, self.total = title, images
        self.bar: tqdm | None = None

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        self.bar = tqdm(
            desc=self.title,
            total=max(self.total, images),
            initial=images,
            unit="img",
            mininterval=INTERVAL,
            maxinterval=INTERVAL,
            file=sys.stderr,
        )
        return {}

    def on_log(self, row: Row) -> None:
        if self.bar is not None:
            losses = {"D": f"{row['loss_d']:.2f}", "G": f"{row['loss_g']:.2f}", "alpha": f"{row['alpha']:.2f}"}
            self.bar.set_postfix(losses, refresh=False)
            self.bar.total = max(self.total, int(row["images"]))
            self.bar.update(int(row["images"]) - self.bar.n)

    def on_warning(self, images: int, message: str) -> None:
        tqdm.write(f"warning: at {images} images: {message}", file=sys.stderr)

    def close(self) -> None:
        """Close the bar, if it is open."""
        if self.bar is not None:
            self.bar.close()
