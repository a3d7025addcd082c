# %% [markdown]
# # Your own shapes
#
# A folder with one folder per class is all that is needed: meshes (OFF, OBJ, PLY, STL, GLB, …) or voxel grids. Here it
# is made of a few shapes of trimesh; set `source` to a folder, an archive, an address, or the name of a public set
# (`modelnet10`).

# %% tags=["parameters"]
source = ""  # empty: boxes and cones, made below
resolution = 16
images = 4000
count = 150  # shapes per class of the example

# %%
import os

import gan3d
from gan3d.config.project import find_project

os.chdir(find_project().work)  # all paths are those of the repository

# %%
import numpy as np
import trimesh

if not source:
    source = "output/notebooks/shapes"
    random = np.random.default_rng(0)
    for i in range(count):
        box = trimesh.creation.box(random.uniform(0.3, 1, 3))
        cone = trimesh.creation.cone(radius=0.5, height=1).apply_scale(random.uniform(0.4, 1.4, 3))
        for name, mesh in (("box", box), ("cone", cone)):
            os.makedirs(f"{source}/{name}", exist_ok=True)
            mesh.export(f"{source}/{name}/{i:03d}.stl")

# %% [markdown]
# Preparation finds classes and splits, voxelizes, and drops copies. What it could not read is in `rejects.csv`, and the
# report beside the data set shows what it understood.

# %%
data = gan3d.prepare(source, "output/notebooks/own", resolution=resolution, up="z")
data

# %%
data.show(count=12, split="train")

# %%
print(open("output/notebooks/own/rejects.csv").read())
print({name: f"{share:.1%}" for name, share in data.summary["occupancy"].items()}, data.summary["mirror"])

# %% [markdown]
# Train up to 8³ and look. The pipeline does the same, with tracking: set `data.source` in `params.yaml`, and run
# `dvc repro`.

# %%
model = gan3d.train(data, "r04", stabilise=images)
model = gan3d.train(data, "r08", model, fade_in=images // 4, stabilise=images)
sum([model.sample(name, 6, seed=1) for name in model.classes[1:]], model.sample(model.classes[0], 6, seed=1))

# %% [markdown]
# Novelty tells whether it copies: the distance to the nearest training shape, for generated and for real shapes.

# %%
name = data.classes[-1]
train = data.voxels(8, data.select("train", name))
test = data.voxels(8, np.concatenate([data.select(split, name) for split in ("validation", "test")]))
gan3d.score(model.sample(name, len(test), seed=2), test, train)
