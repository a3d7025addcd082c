"""A sweep of one stage by one or many workers, and of all stages in turn."""

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna

from gan3d.config.loading import load_params
from gan3d.config.project import Project
from gan3d.config.schema import Params
from gan3d.errors import UserError
from gan3d.tuning import apply, report
from gan3d.tuning.study import find_study, trained_values
from gan3d.tuning.study_spec import StudySpec, study_spec
from gan3d.tuning.worker import Worker


def run(spec: StudySpec, workers: int = 1, dask: str | None = None, log: Callable[[str], None] = print) -> optuna.Study:
    """Sweep a stage until its study is done.

    Args:
        workers: processes on this machine.
        dask: address of a Dask scheduler, to run one worker on each of its workers instead.
        log: takes one line per event.

    Raises:
        UserError: if the sweep cannot go on.
    """
    if dask is not None:
        run_on_dask(spec, dask, log)
        return find_study(spec)
    others = [start_worker(spec) for _ in range(workers - 1)]
    try:
        study = Worker(spec, log).run()
        for other in others:
            other.wait()
    finally:
        for other in others:
            if other.poll() is None:
                other.send_signal(signal.SIGTERM)  # a background process may ignore SIGINT
                other.wait()
    return study


def start_worker(spec: StudySpec) -> subprocess.Popen:
    """Start another worker of the study in a process of its own."""
    command = [sys.executable, "-m", "gan3d", "tune", spec.stage, "--worker", "--study", spec.name]
    command += ["--trials", str(spec.tune.trials)]
    environment = os.environ | {"GAN3D_STORAGE": spec.url}  # arguments are visible to all users
    # in a process group of its own: Ctrl-C reaches it once, through `run`
    return subprocess.Popen(command, cwd=spec.project.work, env=environment, start_new_session=True)


def run_on_dask(spec: StudySpec, address: str, log: Callable[[str], None]) -> None:
    """Run one worker of the study on each worker of a Dask cluster; all must see the project's folder.

    Raises:
        UserError: if the cluster cannot be used.
    """
    try:
        from distributed import Client, Event
    except ModuleNotFoundError:
        raise UserError("--dask needs the package distributed: install gan3d[dask].") from None
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(f"no Dask scheduler answers at {address} ({error}): check the address.") from None
    with client:
        names = list(client.scheduler_info(n_workers=-1)["workers"])
        if not names:
            raise UserError(f"the Dask scheduler at {address} has no workers: start some.")
        log(f"running on {len(names)} Dask workers")
        backend = os.environ["KERAS_BACKEND"]
        stop = f"{spec.name}-{uuid.uuid4().hex}"
        futures = [
            client.submit(run_dask_worker, spec, backend, stop, workers=[name], allow_other_workers=True, pure=False)
            for name in names
        ]
        try:
            client.gather(futures)
        except KeyboardInterrupt:
            log("stopping the trials")
            Event(stop).set()
            client.gather(futures)
            raise


def run_dask_worker(spec: StudySpec, backend: str, stop: str) -> None:
    """Run a worker in a Dask worker, until the study is done or the event `stop` is set."""
    from distributed import Event

    os.environ.setdefault("KERAS_BACKEND", backend)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.suppress(KeyboardInterrupt):  # raised after everything is closed
        Worker(spec, should_stop=Event(stop).is_set).run()


def apply_best(spec: StudySpec, number: int | None = None) -> str:
    """Write the values of the best trial, or of one, into params.yaml; returns the difference."""
    study = find_study(spec)
    return apply.write(spec.project.params, spec.stage, trained_values(study, report.best(study, number)))


def tune_all(
    project: Project,
    storage: str | None,
    workers: int,
    dask: str | None,
    log: Callable[[str], None] = print,
    repro: Callable[[str, Path], None] | None = None,
) -> None:
    """Tune each stage, the smallest first, apply its best values, and train it with them through DVC."""
    for stage in in_training_order(load_params(project.params)):
        spec = study_spec(load_params(project.params), stage, project, storage)
        log("\n".join(report.verdict(run(spec, workers, dask, log), spec)))
        log(apply_best(spec).rstrip() or f"{project.params.name} has the best values of {stage} already")
        (repro or reproduce)(f"train@{stage}", project.work)


def in_training_order(params: Params) -> Sequence[str]:
    """The stages that lead to the final one, then the others."""
    chain = params.train.chain(params.final)
    return [*chain, *(stage for stage in params.train.stages if stage not in chain)]


def reproduce(target: str, folder: Path) -> None:
    """Run `dvc repro` on a stage.

    Raises:
        UserError: if it fails; DVC has printed the cause.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment: dict[str, Any] = os.environ | {"PATH": path}
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", target], cwd=folder, env=environment)
    if done.returncode:
        raise UserError(f"`dvc repro {target}` failed: fix the error above; the same command continues.")
