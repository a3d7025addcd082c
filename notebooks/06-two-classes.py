# %% [markdown]
# # Two classes, and continuing
#
# One network for chairs and tables: it is told the class. Then the training goes on for as many images again, from
# where it stopped. On a GPU, the recipes `chair-table` and `chair-table-continued` do this at 32³.

# %% tags=["parameters"]
stage = "r08"
images = 6000

# %%
import os

import gan3d
from gan3d.config.project import find_project

os.chdir(find_project().work)  # all paths are those of the repository

# %%
# a prepared data set: the pipeline's, or a smaller one of the embedded furniture, which takes about a minute
folder = "data/voxels" if os.path.exists("data/voxels/manifest.csv") else "output/notebooks/voxels"
data = gan3d.VoxelDataset(folder) if os.path.exists(folder) else gan3d.prepare("synthetic", folder, resolution=16)
data

# %%
checkpoints = "checkpoints/notebook"
first = gan3d.train(data, stage, stabilise=images, checkpoints=checkpoints)
first.sample(data.classes[0], 6, seed=3) + first.sample(data.classes[-1], 6, seed=3)

# %% [markdown]
# The name of a checkpoint folder is a hash of everything that determines the weights, except for the number of images.
# A longer training therefore finds it, and continues.

# %%
longer = gan3d.train(data, stage, stabilise=2 * images, checkpoints=checkpoints)
longer.sample(data.classes[0], 6, seed=3) + longer.sample(data.classes[-1], 6, seed=3)

# %%
seen = [row["images"] for row in longer.history]
print(f"{len(first.history)} rows up to {first.history[-1]['images']:,} images, then {len(seen)} up to {seen[-1]:,}")
same = [row["loss_d"] for row in longer.history[: len(first.history)]] == [row["loss_d"] for row in first.history]
print("the first part is that of the first training:", same)

# %% [markdown]
# One latent, both classes: the class decides what it becomes.

# %%
latents = longer.sample(data.classes[0], 6, seed=5).latents
longer.sample(data.classes[0], latents=latents) + longer.sample(data.classes[-1], latents=latents)

# %%
gan3d.score(longer, data, count=40, draws=1)
