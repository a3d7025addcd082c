# %% [markdown]
# # Look at shapes
#
# Three generators come with the repository. Load one, sample it, turn its shapes inside the cell, and take them with
# you as arrays and meshes. Nothing is downloaded.

# %% tags=["parameters"]
name = "modelnet10-r32"  # `gan3d pretrained list` shows the others
class_name = "chair"
count = 12
seed = 7

# %%
import os

import gan3d
from gan3d.config.project import find_project

os.chdir(find_project().work)  # all paths are those of the repository

model = gan3d.load(name)
model

# %% [markdown]
# Drag a shape to turn all of them, or click on one to enlarge it. The same seed always gives the same shapes.

# %%
shapes = model.sample(class_name, count, seed=seed)
shapes

# %% [markdown]
# `truncation` trades variety for typical shapes: at 1 there is full variety, and at 0 every shape is the mean of its
# class.

# %%
model.sample(class_name, count, seed=seed, truncation=0.5)

# %% [markdown]
# One shape of each class, side by side:

# %%
each = [model.sample(known, 1, seed=seed) for known in model.classes]
sum(each[1:], each[0])

# %% [markdown]
# The numbers behind the picture are NumPy arrays.

# %%
print(shapes.voxels.shape, shapes.voxels.dtype)  # occupied or not
print(shapes.occupancy.dtype, shapes.occupancy.min(), shapes.occupancy.max())  # what the network says
print(shapes.latents.shape)  # what it was given

# %% [markdown]
# A mesh is a `trimesh.Trimesh`. The files land in `output/notebooks/`; everything that the pipeline writes for people
# is in `output/<name>/{loss,model,vis}`.

# %%
mesh = shapes[0].mesh()
print(mesh, "watertight" if mesh.is_watertight else "with open edges")
os.makedirs("output/notebooks", exist_ok=True)
mesh.export("output/notebooks/shape.stl")
shapes.save("output/notebooks/shapes.png")
shapes[0].save("output/notebooks/turntable.gif")
shapes[0]
