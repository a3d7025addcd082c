"""Items of a source -> packed voxel grids, on all cores."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context

from gan3d import grids
from gan3d.data.readers import Mesh, Unreadable, fit
from gan3d.data.sources import Item, forget
from gan3d.data.voxelize import voxelize
from gan3d.errors import UserError

FEW = 64  # with fewer items, starting workers takes longer than the work

Progress = Callable[[int, int], None]
Result = bytes | tuple[str, str] | None  # packed grid, or (reason, advice), or empty


def convert(item: Item, resolution: int) -> Result:
    """One item as a packed grid; None when it is empty; (reason, advice) when it cannot be used."""
    try:
        shape = item.read()
        voxels = voxelize(*shape, resolution) if isinstance(shape, Mesh) else fit(shape, resolution)
    except Unreadable as error:
        return error.reason, error.advice
    return grids.pack(voxels[None]).tobytes() if voxels.any() else None


def convert_all(
    items: Sequence[Item], resolution: int, workers: int | None = None, progress: Progress | None = None
) -> Iterator[Result]:
    """Results in the items' order, the same for any number of workers (None: one a core).

    Rows of arrays are converted in this process, since reading them costs more than converting them.

    Raises:
        UserError: when a worker dies, which as a rule means that memory ran out.
    """
    work = partial(convert, resolution=resolution)
    workers = min(workers or os.cpu_count() or 1, len(items) // FEW + 1)
    if workers == 1 or all(item.row is not None for item in items):
        yield from _counted(map(work, items), len(items), progress)
        forget()
        return
    # not fork: the calling process may hold threads, of TensorFlow or MLflow
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield from _counted(pool.map(work, items, chunksize=8), len(items), progress)
        except BrokenProcessPool:
            raise UserError("a worker of the prepare stage died, probably out of memory: lower data.workers.") from None


def _counted(results: Iterator[Result], total: int, progress: Progress | None) -> Iterator[Result]:
    for done, result in enumerate(results, 1):
        yield result
        if progress:
            progress(done, total)
