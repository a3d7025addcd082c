"""A stage trained straight through, and one that was stopped and continued, leave the same bytes."""

import queue
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan3d.model_file import TrainedModel
from gan3d.monitoring.monitor import TrainingMonitor
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler
from gan3d.training import checkpoint, loop
from gan3d.training.callback import Callback, Row
from gan3d.training.checkpoint import checkpoint_state
from gan3d.training.growth import grow
from gan3d.training.loop import DivergedError, LoggingSchedule, passed, summarise, train
from gan3d.training.step import first_state

SCHEDULE = LoggingSchedule(16, 32, 32, 2)


def run(dataset, start, recipe, folder, schedule=SCHEDULE, callback=None, **hooks):
    """`train` with a monitor."""
    monitor = TrainingMonitor(dataset, start, schedule.samples_per_class)
    return train(dataset, start, recipe, folder, schedule, callback or Callback(), monitor, **hooks)


@dataclass
class Witness(Callback):
    """Keeps what it sees, as a tracker would, and does something at one place."""

    at: int = -1
    act: Callable[[], Any] = lambda: None
    continued: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    pictures: dict[int, np.ndarray] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def on_train_begin(self, images: int, rows: list[Row], record: dict[str, Any]) -> dict[str, Any]:
        self.continued.append(images)
        self.rows = list(rows)
        return {"starts": record.get("starts", 0) + 1}

    def on_log(self, row: Row) -> None:
        self.rows.append(row)
        if row["images"] == self.at:
            self.act()

    def on_samples(self, images: int, voxels: np.ndarray, labels: np.ndarray) -> None:
        self.pictures[images] = voxels
        assert labels.tolist() == [0, 0, 1, 1]

    def on_warning(self, images: int, message: str) -> None:
        self.warnings.append(message)


def weights(snapshot: TrainedModel) -> dict[str, bytes]:
    return {
        f"{part}/{name}": value.tobytes()
        for part in ("ema", "generator", "discriminator")
        for name, value in getattr(snapshot, part).items()
    }


def without_times(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in rows]


@pytest.fixture(scope="module")
def parent(architecture) -> TrainedModel:
    return grow(None, architecture(4), seed=1)[2]


@pytest.fixture(scope="module")
def straight(dataset, parent, architecture, recipe, tmp_path_factory) -> tuple[TrainedModel, list[Row], Witness, Path]:
    folder, witness = tmp_path_factory.mktemp("straight"), Witness()
    trained, rows = run(dataset, grow(parent, architecture(8), 1), recipe, folder, SCHEDULE, witness)
    return trained, rows, witness, folder


def test_progress_is_counted_in_images(straight, recipe):
    _, rows, witness, folder = straight
    assert [row["images"] for row in rows] == list(range(16, 129, 16))
    assert [row["alpha"] for row in rows] == [min(row["images"] / recipe.fade_in, 1) for row in rows]
    assert witness.rows == rows
    assert sorted(witness.pictures) == [32, 64, 96, 128]
    # the last two; a longer training would go on from the end
    assert [int(path.stem.split("-")[0]) for path in sorted(folder.iterdir())] == [96, 128]
    assert all(row["images_per_second"] > 0 and row["penalty"] > 0 for row in rows)


def test_the_snapshot_holds_all_weights_and_none_stood_still(straight, parent, architecture):
    trained = straight[0]
    start = grow(parent, architecture(8), 1)[2]
    for part in ("ema", "generator", "discriminator"):
        before, after = getattr(start, part), getattr(trained, part)
        assert list(after) == list(before)
        assert {value.dtype.name for value in after.values()} == {"float32"}
        still = {name for name, value in after.items() if np.array_equal(value, before[name])}
        # the default loss compares scores, so that what is added to all of them has no gradient
        assert still == ({"score/bias"} if part == "discriminator" else set())
    assert not np.array_equal(trained.ema["first/kernel"], trained.generator["first/kernel"])


def test_samples_come_from_the_ema_generator(straight):
    trained, _, witness, _ = straight
    sampler = Sampler(trained)
    vectors = np.tile(draw_latents(0, 2, 8), (2, 1))
    expected = sampler.binary(sampler.occupancy(vectors, np.array([0, 0, 1, 1])))
    assert np.array_equal(witness.pictures[128], expected)


def fail() -> None:
    raise RuntimeError("the disk is full")


STOPS = [
    ([(112, lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt)], [0, 96]),
    pytest.param(
        [(48, fail, RuntimeError), (112, lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt)],
        [0, 32, 96],
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("stops", "continued"), STOPS, ids=["once", "twice"])
def test_a_stage_that_was_stopped_ends_as_if_it_had_not_been(
    straight, dataset, parent, architecture, recipe, tmp_path, stops, continued
):
    """By an error, by Ctrl-C, which leaves a checkpoint at 112; and then that checkpoint turns out damaged."""
    witnesses = [Witness(at, act) for at, act, _ in stops] + [Witness()]
    start = grow(parent, architecture(8), 1)
    for witness, (_, _, error) in zip(witnesses, stops, strict=False):
        with pytest.raises(error):
            run(dataset, start, recipe, tmp_path, SCHEDULE, witness)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-10])
    last = witnesses[-1]
    trained, rows = run(dataset, start, recipe, tmp_path, SCHEDULE, last)
    assert [witness.continued for witness in witnesses] == [[images] for images in continued]
    assert str(newest) in last.warnings[0]
    assert weights(trained) == weights(straight[0])
    assert without_times(rows) == without_times(straight[1])
    assert without_times(last.rows) == without_times(rows)
    assert np.array_equal(last.pictures[128], straight[2].pictures[128])
    _, _, record, _ = checkpoint.load(tmp_path, checkpoint_state(first_state(*start[:2]), recipe), recipe.images)
    assert record["callback"] == {"starts": len(witnesses)}
    assert [row["images"] for row in record["rows"]] == list(range(16, 129, 16))


@pytest.mark.slow
def test_a_longer_stage_goes_on_from_a_shorter_one(dataset, parent, architecture, recipe, tmp_path):
    """All that determines a checkpoint is the same, so that it may be used; the result is that of the longer stage."""
    longer = replace(recipe, stabilise=128)
    expected = run(dataset, grow(parent, architecture(8), 1), longer, tmp_path / "long", SCHEDULE)
    run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path / "short", SCHEDULE)
    witness = Witness()
    found = run(dataset, grow(parent, architecture(8), 1), longer, tmp_path / "short", SCHEDULE, witness)
    assert witness.continued == [128]  # where the shorter one ended
    assert weights(found[0]) == weights(expected[0])
    assert without_times(found[1]) == without_times(expected[1])


@pytest.mark.slow
def test_a_shorter_stage_does_not_end_as_the_longer_one(straight, dataset, parent, architecture, recipe, tmp_path):
    longer = replace(recipe, stabilise=256)
    with pytest.raises(RuntimeError):
        run(dataset, grow(parent, architecture(8), 1), longer, tmp_path, SCHEDULE, Witness(at=144, act=fail))
    trained, rows = run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path, SCHEDULE)
    assert weights(trained) == weights(straight[0])
    assert without_times(rows) == without_times(straight[1])


@pytest.mark.slow
def test_the_schedule_of_logging_does_not_change_the_weights(straight, dataset, parent, architecture, recipe, tmp_path):
    schedule = LoggingSchedule(48, 1000, 1000, 2)
    trained, rows = run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path, schedule)
    assert weights(trained) == weights(straight[0])
    assert [row["images"] for row in rows] == [48, 96, 128]


def test_a_run_gone_wrong_says_so(dataset, architecture, recipe, tmp_path):
    """A generator whose learning rate is absurd ends as an empty or a full cube, whatever the latents."""
    witness, wild = Witness(), replace(recipe, lr_g=1e4, penalty_every=1, fade_in=0, stabilise=32)
    run(dataset, grow(None, architecture(4), 1), wild, tmp_path, SCHEDULE, witness)
    assert witness.warnings
    for message in witness.warnings:
        assert "lr_" in message


def test_losses_that_are_not_finite_end_the_training_at_once(dataset, architecture, recipe, tmp_path):
    generator, discriminator, start = grow(None, architecture(4), 1)
    discriminator.score.bias.assign([np.nan, np.nan])
    witness, schedule = Witness(), replace(SCHEDULE, samples_every=10**6)
    short = replace(recipe, penalty_every=1, fade_in=0, stabilise=32)
    with pytest.raises(DivergedError, match="lower lr_g"):
        run(dataset, (generator, discriminator, start), short, tmp_path, schedule, witness)
    assert "not finite after 16 images" in witness.warnings[0]
    assert not list(tmp_path.iterdir())  # nothing that a restart would take up


@pytest.mark.parametrize(
    ("before", "images", "every", "expected"), [(0, 31, 32, 0), (16, 32, 32, 1), (32, 48, 32, 0), (0, 99, 32, 1)]
)
def test_passed(before, images, every, expected):
    assert passed(images, before, every) == bool(expected)


def test_the_next_chunk_is_drawn_while_this_one_is_trained(recipe):
    drawn = queue.Queue()

    def draw(images, steps):
        drawn.put((images, steps, threading.current_thread()))
        return {"first": images}

    chunks = loop.prefetch(draw, 32, 4, replace(recipe, penalty_every=2, batch=16, fade_in=0, stabilise=176))
    images, batch = next(chunks)
    assert (images, batch) == (96, {"first": 32})
    assert drawn.get() == (32, 4, threading.current_thread())
    first, steps, thread = drawn.get(timeout=10)  # nobody has asked for it yet
    assert (first, steps) == (96, 4)
    assert thread is not threading.current_thread()
    assert list(chunks) == [(160, {"first": 96}), (192, {"first": 160})]
    assert drawn.get()[:2] == (160, 2)  # the rest, in whole cycles of the penalty
    assert drawn.empty()


def test_what_a_thread_could_not_draw_is_said(recipe):
    def draw(images, steps):
        if images:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(loop.prefetch(draw, 0, 4, recipe))


def test_a_stop_leaves_a_checkpoint_and_nothing_else(straight, dataset, parent, architecture, recipe, tmp_path):
    """Samples and diagnostics that an uninterrupted run does not log are not logged."""
    first, last, asked = Witness(), Witness(), []

    def should_stop():
        asked.append(1)
        return len(asked) == 3

    _, rows = run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path, SCHEDULE, first, should_stop=should_stop)
    assert rows[-1]["images"] == 48
    assert sorted(first.pictures) == [32]
    trained, rows = run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path, SCHEDULE, last)
    assert min(last.pictures) == 64
    assert weights(trained) == weights(straight[0])
    assert without_times(rows) == without_times(straight[1])


def test_means_over_a_chunk_count_the_penalty_over_penalised_steps_alone():
    logs = {"loss_d": np.array([1.0, 2, 3, 6]), "penalty": np.array([4.0, 0, 2, 0])}
    assert summarise(logs, 2) == {"loss_d": 3.0, "penalty": 3.0}


def interrupt(number: int = signal.SIGINT) -> Callable[[], None]:
    return lambda: signal.raise_signal(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_before_the_first_checkpoint_leaves_one(
    straight, dataset, parent, architecture, recipe, tmp_path, number, capsys
):
    """Nothing of the stage is lost, and nothing is logged that an uninterrupted training would not log."""
    first, last = Witness(16, interrupt(number)), Witness()
    with pytest.raises(KeyboardInterrupt):
        run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path, SCHEDULE, first)
    assert "Ctrl-C again stops at once" in capsys.readouterr().err
    assert [int(path.stem.split("-")[0]) for path in tmp_path.iterdir()] == [16]
    trained, rows = run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path, SCHEDULE, last)
    assert last.continued == [16]
    assert weights(trained) == weights(straight[0])
    assert without_times(rows) == without_times(straight[1])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ctrl_c_twice_ends_at_once(dataset, parent, architecture, recipe, tmp_path):
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path, SCHEDULE, Witness(16, twice))
    assert not list(tmp_path.iterdir())


def test_ctrl_c_in_the_last_chunk_is_not_lost(dataset, parent, architecture, recipe, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path, SCHEDULE, Witness(128, interrupt()))
    assert max(int(path.stem.split("-")[0]) for path in tmp_path.iterdir()) == 128


def test_damage_to_all_checkpoints_is_said(dataset, parent, architecture, recipe, tmp_path):
    torn = tmp_path / "0000000016-0123456789abcdef.npz"
    torn.write_bytes(b"torn")
    last = Witness(16, interrupt())
    with pytest.raises(KeyboardInterrupt):
        run(dataset, grow(parent, architecture(8), 1), recipe, tmp_path, SCHEDULE, last)
    assert last.continued == [0]
    assert not torn.exists()
    assert last.warnings == [f"{torn} is damaged, and no other checkpoint is left: the training starts from zero."]
