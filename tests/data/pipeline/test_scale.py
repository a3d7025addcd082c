"""Peak memory stays bounded for any number of shapes."""

import sys
import time

import psutil
import pytest

from gan3d.synthetic import furniture

LIMIT = 2**30  # bytes above the bare interpreter


def tree_memory(process: psutil.Process) -> int:
    """Proportional set size of a process and its children, so that shared pages count once."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def peak(command: list[str]) -> int:
    """Peak memory of a command and its children, sampled ten times per second."""
    process = psutil.Popen(command)
    highest = 0
    while process.poll() is None:
        try:
            highest = max(highest, tree_memory(process))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.1)
    assert process.wait() == 0
    return highest


@pytest.mark.parametrize(
    ("count", "resolution"),
    [pytest.param(150, 32, marks=pytest.mark.slow), pytest.param(4000, 64, marks=pytest.mark.full)],
)
def test_peak_memory(tmp_path, count, resolution):
    furniture.write(tmp_path / "source", chairs=count, tables=count, test=10)
    source = str(tmp_path / "source")
    script = f"from gan3d.data.pipeline.prepare import prepare; prepare({source!r}, 'voxels', {resolution})"
    start = time.monotonic()
    bare = peak([sys.executable, "-c", "import time; time.sleep(1)"])
    used = peak(["env", "-C", str(tmp_path), sys.executable, "-c", script]) - bare
    print(f"{2 * count} shapes at {resolution}³: {used / 2**20:.0f} MiB, {time.monotonic() - start:.0f} s")
    assert used < LIMIT
    if count < 1000:
        assert used < LIMIT / 2
    assert (tmp_path / "voxels" / f"r{resolution}.npy").stat().st_size > 2 * count * resolution**3 / 9
