"""What watches a training beside MLflow: a progress bar, and a folder of pictures."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gan3d.monitoring.progress import INTERVAL
from gan3d.rendering.sheets import samples_sheet, save_png
from gan3d.training.callback import Callback, Row


class CallbackList(Callback):
    """Several observers as one; the record is the last one's that has any."""

    def __init__(self, *observers: Callback):
        self.observers = observers

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for observer in self.observers:
            kept |= observer.on_train_begin(images, rows, record)
        return kept

    def on_log(self, row: Row) -> None:
        for observer in self.observers:
            observer.on_log(row)

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        for observer in self.observers:
            observer.on_samples(images, voxels, labels)

    def on_warning(self, images: int, message: str) -> None:
        for observer in self.observers:
            observer.on_warning(images, message)


class SampleSheets(Callback):
    """Writes the pictures of the fixed latents into a folder and keeps the shapes for the page."""

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


class ProgressBar(Callback):
    """Observes a training: images seen, images a second, time left, the latest losses."""

    def __init__(self, what: str, images: int):
        self.what, self.total = what, images
        self.line: tqdm | None = None

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        self.line = tqdm(
            desc=self.what,
            total=max(self.total, images),
            initial=images,
            unit="img",
            mininterval=INTERVAL,
            maxinterval=INTERVAL,
            file=sys.stderr,
        )
        return {}

    def on_log(self, row: Row) -> None:
        if self.line is not None:
            shown = {"D": f"{row['loss_d']:.2f}", "G": f"{row['loss_g']:.2f}", "alpha": f"{row['alpha']:.2f}"}
            self.line.set_postfix(shown, refresh=False)
            self.line.total = max(self.total, int(row["images"]))
            self.line.update(int(row["images"]) - self.line.n)

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None: ...

    def on_warning(self, images: int, message: str) -> None:
        tqdm.write(f"warning: at {images} images: {message}", file=sys.stderr)

    def close(self) -> None:
        if self.line is not None:
            self.line.close()
