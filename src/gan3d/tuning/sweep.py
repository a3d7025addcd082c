"""A sweep of one stage by one or many workers, and of the whole pyramid."""

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
from gan3d.tuning import apply, report, space
from gan3d.tuning.study import find_study
from gan3d.tuning.study_spec import StudySpec, study_spec
from gan3d.tuning.worker import Worker


def run(task: StudySpec, workers: int = 1, dask: str | None = None, say: Callable[[str], None] = print) -> optuna.Study:
    """Sweep a stage to the end of its study.

    Args:
        workers: processes on this machine.
        dask: address of a Dask scheduler instead; each of its workers takes part.

    Raises:
        UserError: when the sweep cannot go on.
    """
    if dask is not None:
        on_dask(task, dask, say)
        return find_study(task)
    others = [spawn(task) for _ in range(workers - 1)]
    try:
        study = Worker(task, say).work()
        for other in others:
            other.wait()
    finally:
        for other in others:
            if other.poll() is None:
                other.send_signal(signal.SIGTERM)  # a background process may ignore SIGINT
                other.wait()
    return study


def spawn(task: StudySpec) -> subprocess.Popen:
    """Another worker of the same study, as a process of its own."""
    command = [sys.executable, "-m", "gan3d", "tune", task.stage, "--worker", "--study", task.name]
    command += ["--trials", str(task.tune.trials)]
    environment = os.environ | {"GAN3D_STORAGE": task.url}  # not among the arguments, which all can see
    # in a group of its own: a Ctrl-C reaches it once, from here
    return subprocess.Popen(command, cwd=task.project.work, env=environment, start_new_session=True)


def on_dask(task: StudySpec, address: str, say: Callable[[str], None]) -> None:
    """One worker of the study on each worker of a Dask cluster, which must see the project's folder."""
    try:
        from distributed import Client, Event
    except ModuleNotFoundError:
        raise UserError("--dask needs the package distributed: install it beside gan3d.") from None
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError, TimeoutError) as error:
        raise UserError(f"no Dask scheduler answers at {address} ({error}): check the address.") from None
    with client:
        names = list(client.scheduler_info(n_workers=-1)["workers"])
        if not names:
            raise UserError(f"the Dask scheduler at {address} has no workers: start some.")
        say(f"{len(names)} Dask workers take part")
        backend = os.environ["KERAS_BACKEND"]
        stop = f"{task.name}-{uuid.uuid4().hex}"
        futures = [
            client.submit(take_part, task, backend, stop, workers=[name], allow_other_workers=True, pure=False)
            for name in names
        ]
        try:
            client.gather(futures)
        except KeyboardInterrupt:
            say("the trials end at their next look")
            Event(stop).set()
            client.gather(futures)
            raise


def take_part(task: StudySpec, backend: str, stop: str) -> None:
    """A worker's part on a Dask worker, until the study is done or the event `stop` is set."""
    from distributed import Event

    os.environ.setdefault("KERAS_BACKEND", backend)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.suppress(KeyboardInterrupt):  # it has closed everything
        Worker(task, stopped=Event(stop).is_set).work()


def take_over(task: StudySpec, number: int | None = None) -> str:
    """Write the best trial's values into params.yaml; returns the difference."""
    found = report.best(find_study(task), number)
    return apply.write(task.project.params, task.stage, space.trained(found.params))


def pyramid(
    project: Project,
    storage: str | None,
    workers: int,
    dask: str | None,
    say: Callable[[str], None] = print,
    repro: Callable[[str, Path], None] | None = None,
) -> None:
    """Tune each stage, the smallest first, write its best values and train it with them through DVC."""
    for stage in ordered(load_params(project.params)):
        current = study_spec(load_params(project.params), stage, project, storage)
        say("\n".join(report.verdict(run(current, workers, dask, say), current)))
        say(take_over(current).rstrip() or f"{project.params.name} has the best values of {stage} already")
        (repro or reproduce)(f"train@{stage}", project.work)


def ordered(params: Params) -> Sequence[str]:
    """The stages that lead to the final one, then the rest."""
    chain = params.train.chain(params.final)
    return [*chain, *(stage for stage in params.train.stages if stage not in chain)]


def reproduce(target: str, folder: Path) -> None:
    """`dvc repro` of a stage and what it needs.

    Raises:
        UserError: when it fails; DVC has said why.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment: dict[str, Any] = os.environ | {"PATH": path}
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", target], cwd=folder, env=environment)
    if done.returncode:
        raise UserError(f"`dvc repro {target}` failed: mend what it names above; the same command continues.")
