"""The smooth surface against marching cubes, and bodies to print of several generators.

    python -m benchmarks.printing MODEL... [--shapes 20] [--bodies 200] [--out benchmarks/results/printing.json]

Surfaces are made from voxels of the embedded furniture, whose true surface is known: the union of its closed parts, as
manifold3d computes it. The error is the angle between the normal of a point of the made surface and that of the nearest
point of the true one; near an edge, where several are as near to a fifth of a voxel, the one that fits best. It is also
measured the other way round, where it counts what the voxels do not show. Marching cubes are scikit-image's.

A body passes if `gan3d.shape_io.printing` returns it: one piece, checked by manifold3d. Shapes without any voxel are
counted apart. The first HOLLOWED shapes of each generator are hollowed out, too.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import manifold3d
import numpy as np
import trimesh
from scipy.spatial import cKDTree
from skimage import measure

from gan3d.backend_choice import choose_backend
from gan3d.data.voxelization.voxelize import normalise, voxelize
from gan3d.errors import UserError
from gan3d.shape_io.formats import STYLES
from gan3d.shape_io.print_settings import PrintSettings
from gan3d.shape_io.printing import printable
from gan3d.shape_io.surface import block_surface, smooth_surface
from gan3d.synthetic.furniture import GENERATORS, generate

RESOLUTIONS = (16, 32, 64)
TRUE, MADE, ASKED = 300_000, 100_000, 5_000  # points on a true and on a made surface, and those that are asked
NEAREST, AS_NEAR = 40, 0.2  # points that are compared, and by how many voxels they may be farther than the nearest
SIZE = 120.0  # mm
HOLLOWED, WALL = 20, 2.0  # shapes, and mm that are asked for
REPEATS = 3  # of which the fastest counts

Surface = tuple[np.ndarray, np.ndarray]


def marching_cubes(voxels: np.ndarray) -> Surface:
    """What the smooth style was before: marching cubes of the occupancy, with Lorensen's table."""
    padded = np.pad(voxels.astype(np.float32), 1)
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.5, gradient_direction="ascent", method="lorensen")
    return vertices - 0.5, faces


SURFACES: dict[str, Callable[[np.ndarray], Surface]] = {
    "marching_cubes": marching_cubes,
    "blocks": block_surface,
    "smooth": smooth_surface,
}


def points(triangles: np.ndarray, count: int, seed: int) -> Surface:
    """Points on triangles (F, 3, 3), uniform by area, and their normals."""
    rng = np.random.default_rng(seed)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    which = rng.choice(len(triangles), count, p=areas / areas.sum())
    weights = np.sort(rng.random((count, 2)), axis=1)
    weights = np.stack([weights[:, 0], weights[:, 1] - weights[:, 0], 1 - weights[:, 1]], 1)
    return np.einsum("nc,ncx->nx", weights, triangles[which]), normals[which] / areas[which, None]


def true_surface(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Triangles of the union of closed parts."""
    solids = []
    for part in trimesh.Trimesh(vertices, faces, process=False).split(only_watertight=False):
        outward = part.faces if part.volume > 0 else part.faces[:, ::-1]
        triangles = np.ascontiguousarray(outward, np.uint32)
        solids.append(manifold3d.Manifold(manifold3d.Mesh(np.asarray(part.vertices, np.float32), triangles)))
    union = manifold3d.Manifold.batch_boolean(solids, manifold3d.OpType.Add).to_mesh()
    return union.vert_properties[:, :3][union.tri_verts].astype(float)


def angle(asked: Surface, others: Surface, voxel: float) -> float:
    """The mean angle in degrees between normals at points and at the nearest points of another surface."""
    distance, index = cKDTree(others[0]).query(asked[0], k=NEAREST)
    cosines = np.clip((others[1][index] * asked[1][:, None]).sum(2), -1, 1)
    as_near = distance <= distance[:, :1] + AS_NEAR * voxel
    return float(np.degrees(np.arccos(np.where(as_near, cosines, -1).max(1))).mean())


def measure_surfaces(shapes: int, resolution: int) -> dict[str, dict[str, float]]:
    """Angles, volumes and times of all surfaces, averaged over shapes of each class."""
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in SURFACES}
    for class_name in GENERATORS:
        for index in range(shapes):
            mesh = generate(class_name, index)
            true = points(true_surface(normalise(mesh.vertices), mesh.faces), TRUE, index)
            voxels = voxelize(mesh.vertices, mesh.faces, resolution)
            for name, surface in SURFACES.items():
                seconds = []
                for _ in range(REPEATS):
                    start = time.perf_counter()
                    vertices, faces = surface(voxels)
                    seconds.append(time.perf_counter() - start)
                triangles = vertices[faces] / resolution
                made = points(triangles, MADE, index)
                ahead, back = ((part[0][:ASKED], part[1][:ASKED]) for part in (made, true))
                volume = (triangles[:, 0] * np.cross(triangles[:, 1], triangles[:, 2])).sum() / 6
                angles = angle(ahead, true, 1 / resolution), angle(back, made, 1 / resolution)
                rows[name].append((*angles, 100 * (volume / voxels.mean() - 1), 1000 * min(seconds)))
    return {name: _summary(np.array(values)) for name, values in rows.items()}


def _summary(values: np.ndarray) -> dict[str, float]:
    found = {
        "angle_of_made_points": values[:, 0].mean(),
        "angle_of_true_points": values[:, 1].mean(),
        "volume_percent_mean": values[:, 2].mean(),
        "volume_percent_largest": np.abs(values[:, 2]).max(),
        "ms_median": np.median(values[:, 3]),
    }
    return {name: round(float(value), 3) for name, value in found.items()}


def draw(model: str, count: int) -> tuple[np.ndarray, str]:
    """Shapes of a generator, `count` in all, of all its classes."""
    from gan3d.registry.models import open_sampler
    from gan3d.sampling.requests import Request, sample_shapes

    sampler = open_sampler(model)
    each = -(-count // len(sampler.classes))
    requests = [Request(name, each, seed=1) for name in sampler.classes]
    return sample_shapes(sampler, requests).voxels[:count], sampler.model.up


def measure_bodies(voxels: np.ndarray, up: str, style: Any) -> dict[str, Any]:
    """How many shapes became bodies, and what they are like."""
    bodies, refused, seconds = [], Counter[str](), []
    for shape in voxels:
        if shape.any():
            start = time.perf_counter()
            try:
                bodies.append(printable(shape, PrintSettings(SIZE), style, up))
            except UserError as error:
                refused[str(error)] += 1
            seconds.append(time.perf_counter() - start)
    walls = np.array([body.wall / body.voxel for body in bodies])
    return {
        "shapes": len(seconds),
        "empty": len(voxels) - len(seconds),
        "passed": len(bodies),
        "refused": dict(refused),
        "thinnest_wall_mm": round(min(body.wall for body in bodies), 3),
        "thinnest_wall_voxels": round(float(walls.min()), 3),
        "with_bridges": sum(body.repairs.joined > 0 for body in bodies),
        "with_added_voxels": sum(body.repairs.filled > 0 for body in bodies),
        "with_filled_voids": sum(body.repairs.voids > 0 for body in bodies),
        "ms_median": round(1000 * float(np.median(seconds)), 1),
    }


def measure_hollow(voxels: np.ndarray, up: str, style: Any) -> dict[str, Any]:
    """What bodies with walls of WALL are like, of shapes whose own walls are thicker."""
    walls, shares, seconds, thin = [], [], [], 0
    for shape in voxels[:HOLLOWED]:
        if not shape.any():
            continue
        start = time.perf_counter()
        try:
            hollow = printable(shape, PrintSettings(SIZE, hollow=WALL), style, up)
        except UserError:
            thin += 1
            continue
        seconds.append(time.perf_counter() - start)
        solid = printable(shape, PrintSettings(SIZE), style, up)
        shares.append(hollow.volume / solid.volume)
        if solid.wall > 2 * WALL:  # else the thinnest wall may be one without a cavity
            walls.append(hollow.wall)
    return {
        "shapes": len(seconds) + thin,
        "nowhere_thick_enough": thin,
        "walls_measured": len(walls),
        "wall_mm_least": round(min(walls), 3) if walls else None,
        "wall_mm_most": round(max(walls), 3) if walls else None,
        "material_median": round(float(np.median(shares)), 3) if shares else None,
        "seconds_median": round(float(np.median(seconds)), 2) if seconds else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--shapes", type=int, default=20, help="of each class, for surfaces")
    parser.add_argument("--bodies", type=int, default=200, help="of each model")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/printing.json"))
    given = parser.parse_args()
    choose_backend()
    found: dict[str, Any] = {"shapes_per_class": given.shapes, "size_mm": SIZE, "surfaces": {}, "bodies": {}}

    def save() -> None:
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")

    for model in given.models:
        voxels, up = draw(model, given.bodies)
        name = f"{Path(model).name} at {voxels.shape[-1]}³"
        found["bodies"][name] = {
            style: measure_bodies(voxels, up, style) | {"hollow": measure_hollow(voxels, up, style)} for style in STYLES
        }
        print(name, json.dumps(found["bodies"][name]), flush=True)
        save()
    for resolution in RESOLUTIONS if given.shapes else ():
        row = measure_surfaces(given.shapes, resolution)
        found["surfaces"][str(resolution)] = row
        print(resolution, json.dumps(row), flush=True)
        save()


if __name__ == "__main__":
    main()
