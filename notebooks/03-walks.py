# %% [markdown]
# # Linear and spherical walks
#
# Between two latents there is more than one path. `linear` is the straight line; `slerp` goes along the sphere.

# %% tags=["parameters"]
name = "modelnet10-chairs-r32"
class_name = "chair"
seed = 7
steps = 9

# %%
import os

import gan3d
from gan3d.config.project import find_project

os.chdir(find_project().work)  # all paths are those of the repository

import matplotlib.pyplot as plt
import numpy as np

model = gan3d.load(name)
shapes = model.sample(class_name, 6, seed=seed)
start, end = shapes[0], shapes[5]

# %%
spherical = model.interpolate(start, end, steps=steps, path="slerp")
spherical

# %%
linear = model.interpolate(start, end, steps=steps, path="linear")
linear

# %% [markdown]
# They look alike, and this is why. Latents are random normal vectors, which are almost equally long and almost
# perpendicular, so the straight line cuts a corner and gets shorter in the middle, where a generator of 2018 was given
# vectors that it had never seen. This generator first scales each latent to one length. Then both paths run along one
# arc, and only the step differs: even for `slerp`, longest in the middle for `linear`.


# %%
def angles(walk) -> np.ndarray:
    """Degrees between successive latents."""
    unit = walk.latents / np.linalg.norm(walk.latents, axis=1, keepdims=True)
    return np.degrees(np.arccos((unit[:-1] * unit[1:]).sum(1).clip(-1, 1)))


figure, axes = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
for label, walk in {"slerp": spherical, "linear": linear}.items():
    axes[0].plot(np.linalg.norm(walk.latents, axis=1), marker="o", label=label)
    axes[1].plot(angles(walk), marker="o", label=label)
    changed = (walk.voxels[1:] != walk.voxels[:-1]).mean((1, 2, 3))
    axes[2].plot(100 * changed, marker="o", label=label)
for axis, title in zip(axes, ("length of the latent", "angle of a step", "% of voxels that change"), strict=True):
    axis.set(title=title, xlabel="step")
    axis.legend()

# %% [markdown]
# A walk as an animation, here and as a file:

# %%
from IPython.display import Image

os.makedirs("output/notebooks", exist_ok=True)
(gif,) = spherical.save("output/notebooks/walk.gif")
Image(filename=gif)

# %% [markdown]
# The same on the command line: `gan3d interpolate --model modelnet10-chairs-r32 --from 3 --to 8 --path linear`.
