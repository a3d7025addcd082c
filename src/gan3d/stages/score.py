"""`gan3d score`: two sets of shapes of any origin, read, scored and shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan3d.data.pipeline.load import Loaded, find_resolution, load
from gan3d.errors import UserError
from gan3d.metrics.comparison import ClassEvaluation
from gan3d.metrics.rows import rounded, write_json
from gan3d.metrics.sets import COUNT, DRAWS, score_sets
from gan3d.reports import set_report

MESH_RESOLUTION = 64  # where both sets are meshes


@dataclass(frozen=True, eq=False)
class Scored:
    """Two sets, their scores, and what could not be read of them: (file, reason, advice)."""

    evaluation: ClassEvaluation
    up: str
    rejects: dict[str, list[tuple[str, str, str]]]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of generated shapes and of the floor, rounded."""
        return [rounded(row) for row in self.evaluation.rows]


def run(
    generated: Path,
    real: Path,
    train: Path | None = None,
    class_name: str | None = None,
    resolution: int | None = None,
    up: str | None = None,
    count: int = COUNT,
    draws: int = DRAWS,
    seed: int = 0,
) -> Scored:
    """Score the shapes of one source against those of another.

    Args:
        generated: a file, folder, archive, array set or prepared data set.
        real: likewise; of a source that states splits, the test shapes. A prepared data set gives `train`, too.
        train: likewise; the training shapes.
        class_name: the class of real and training shapes, where a source has several.
        resolution: of the grids; by default that of the coarsest set of grids, or MESH_RESOLUTION.
        up: the axis that points up; by default that of a prepared data set, or y.
        count: see `gan3d.metrics.sets.score_sets`.
        draws: likewise.
        seed: likewise.

    Raises:
        UserError: if a source cannot be read.
    """
    if train is None and (real / "manifest.csv").is_file():
        train = real
    paths = {"generated": generated, "real": real} | ({"train": train} if train else {})
    if resolution is None:
        sides = [side for side in map(find_resolution, dict.fromkeys(paths.values())) if side is not None]
        resolution = min(sides, default=MESH_RESOLUTION)
    splits = {"generated": None, "real": "test", "train": "train"}
    sets: dict[str, Loaded] = {}
    for name, path in paths.items():
        sets[name] = load(path, resolution, splits[name], None if name == "generated" else class_name)
    known = next((loaded.up for loaded in sets.values() if loaded.up), "y")
    voxels = {name: loaded.voxels for name, loaded in sets.items()}
    for name, shapes in voxels.items():
        if not shapes.any():
            raise UserError(f"all shapes of {paths[name]} are empty: check them with `gan3d show`.")
    result = score_sets(voxels["generated"], voxels["real"], voxels.get("train"), up or known, count, draws, seed)
    rejects = {str(paths[name]): list(loaded.rejects) for name, loaded in sets.items() if loaded.rejects}
    return Scored(result, up or known, rejects)


def write(scored: Scored, title: str, page: Path | None, json_file: Path | None) -> list[Path]:
    """Write the page and the JSON; returns the paths of those that were asked for."""
    written = []
    if page is not None:
        written.append(set_report.write(page, title, scored.evaluation, scored.up))
    if json_file is not None:
        write_json(json_file, scored.rows)
        written.append(json_file)
    return written
