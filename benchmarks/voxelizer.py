"""The voxeliser and two independent references: agreement (IoU) and speed, in one process.

    python benchmarks/voxelizer.py FOLDER [--out benchmarks/results/voxelizer.json]

FOLDER holds meshes. References, neither of which shares code with `gan3d.data.voxelization.voxelize`:

- trimesh's voxeliser with `fill()`, on the same grid: the mesh is scaled to the grid, so that the voxels coincide;
- winding numbers, the exact sum of solid angles (Van Oosterom and Strackee 1983) at the centres of random voxels, and
  for the surface a dense sample of points on the triangles.

A conservative surface occupies every voxel that a triangle touches; trimesh's misses those that a triangle cuts between
the sampled points. The report therefore also has the share of the reference's voxels that ours contain: less than 1.000
would be a hole.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import trimesh

from gan3d.data.formats.readers import Mesh, UnreadableFile, read
from gan3d.data.voxelization.voxelize import normalise, voxelize

AGREE, SPEED = 32, 64  # resolutions
TRIANGLES = 5000  # of the timed meshes: a coarser one is subdivided, a finer one is reduced to its largest triangles
REPEATS = 3  # of each timing; the least counts, since other processes can only slow it down
SAMPLED_VOXELS = 4000  # at which the winding number is computed
DENSITY = 40  # sample points per area of a voxel's face


def winding(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Winding number of each point, (P,): its sum of signed solid angles, divided by 4π."""
    result = np.empty(len(points))
    step = max(1, 2**21 // len(triangles))
    for start in range(0, len(points), step):
        a, b, c = (triangles[None, :, i] - points[start : start + step, None] for i in range(3))
        la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
        top = (a * np.cross(b, c)).sum(-1)
        bottom = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
        result[start : start + step] = 2 * np.arctan2(top, bottom).sum(-1) / (4 * np.pi)
    return result


def by_winding(triangles: np.ndarray, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Random voxels (SAMPLED_VOXELS, 3), and whether each is occupied, inside by winding number or on the surface."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, resolution, (SAMPLED_VOXELS, 3))
    inside = np.abs(winding(triangles, (cells + 0.5) / resolution)) > 0.5
    edges = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    rows = np.repeat(np.arange(len(triangles)), np.ceil(area * resolution**2 * DENSITY).astype(int) + 1)
    weights = rng.dirichlet((1, 1, 1), len(rows))
    touched = np.zeros((resolution,) * 3, bool)
    points = (np.einsum("pc,pcx->px", weights, triangles[rows]) * resolution).astype(int)
    touched[tuple(np.clip(points, 0, resolution - 1).T)] = True
    return cells, inside | touched[tuple(cells.T)]


def by_trimesh(triangles: np.ndarray, resolution: int) -> np.ndarray:
    """trimesh's voxels in our grid."""
    mesh = trimesh.Trimesh(triangles.reshape(-1, 3) * resolution, np.arange(3 * len(triangles)).reshape(-1, 3))
    # its cells are centred on integers: shift by half a voxel
    mesh.apply_translation((-0.5,) * 3)
    found = mesh.voxelized(1.0).fill()
    voxels = np.zeros((resolution,) * 3, bool)
    cells = np.round(found.points).astype(int)
    inside = ((cells >= 0) & (cells < resolution)).all(1)
    voxels[tuple(cells[inside].T)] = True
    return voxels


def compare(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    both = (ours & theirs).sum()
    return {"iou": float(both / (ours | theirs).sum()), "contained": float(both / max(theirs.sum(), 1))}


def sized(mesh: Mesh, wanted: int) -> trimesh.Trimesh:
    """A mesh with about `wanted` triangles: the largest ones are subdivided, or only they are kept."""
    result = trimesh.Trimesh(*mesh, process=False)
    if len(result.faces) > wanted:
        result.update_faces(np.argsort(-result.area_faces)[:wanted])
    while len(result.faces) < wanted:
        largest = np.argsort(-result.area_faces)[: max(1, (wanted - len(result.faces)) // 3)]
        result = result.subdivide(largest)
    return result


def agreement(path: Path, mesh: Mesh) -> dict[str, object]:
    triangles = normalise(mesh.vertices[np.unique(mesh.faces)])[np.unique(mesh.faces, return_inverse=True)[1]]
    triangles = triangles.reshape(-1, 3, 3)
    solid, wound = (voxelize(*mesh, AGREE, fill) for fill in ("solid", "winding"))
    cells, exact = by_winding(triangles, AGREE)
    at = tuple(cells.T)
    return {
        "mesh": path.name,
        "triangles": len(mesh.faces),
        "occupied": float(solid.mean()),
        "solid / trimesh": compare(solid, by_trimesh(triangles, AGREE)),
        "solid / winding": compare(solid[at], exact),
        "winding / winding": compare(wound[at], exact),
    }


def timing(mesh: Mesh) -> dict[str, float]:
    one = sized(mesh, TRIANGLES)
    pitch = one.extents.max() / (SPEED - 1)
    ours, theirs = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        voxelize(one.vertices, one.faces, SPEED)
        middle = time.perf_counter()
        one.voxelized(pitch).fill()
        end = time.perf_counter()
        ours.append(middle - start)
        theirs.append(end - middle)
    return {"gan3d": min(ours), "trimesh": min(theirs), "ratio": min(theirs) / min(ours)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/voxelizer.json"))
    given = parser.parse_args()
    agreements, timings = [], []
    for path in sorted(given.folder.rglob("*")):
        if path.suffix.lower() not in (".obj", ".off", ".ply", ".stl"):
            continue
        try:
            mesh = read(path, path.name)
        except UnreadableFile:
            continue
        assert isinstance(mesh, Mesh)
        timings.append(timing(mesh))
        agreements.append(agreement(path, mesh) | {"seconds at 64³": timings[-1]})
        print(path.name, json.dumps(agreements[-1]["solid / trimesh"]), f"{timings[-1]['ratio']:.0f} times", flush=True)
    pairs = ("solid / trimesh", "solid / winding", "winding / winding")
    result = {
        "meshes": len(agreements),
        "resolution": AGREE,
        **{
            pair: {
                f"{how} {name}": round(function(row[pair][name] for row in agreements), 4)
                for name in ("iou", "contained")
                for how, function in (("median", statistics.median), ("least", min))
            }
            for pair in pairs
        },
        "speed": {
            "resolution": SPEED,
            "triangles": TRIANGLES,
            "median ratio": round(statistics.median(row["ratio"] for row in timings), 1),
            "least ratio": round(min(row["ratio"] for row in timings), 1),
            "ratio of the sums": round(sum(r["trimesh"] for r in timings) / sum(r["gan3d"] for r in timings), 1),
        },
        "each": agreements,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in result.items() if name != "each"}, indent=1))


if __name__ == "__main__":
    main()
