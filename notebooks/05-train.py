# %% [markdown]
# # Train inside a notebook
#
# All stages up to `stage`, each grown from the one before, with the default parameters. Run it from the command line
# with `gan3d notebook run 05 -p stage r16`. At 16³, with 6,000 images a stage, it takes some minutes on two cores; the
# default pipeline shows 8,000 to 12,000.

# %% tags=["parameters"]
stage = "r16"
images = 6000  # per stage
seed = 0

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
data.show(count=12)

# %%
stages = [name for name in ("r04", "r08", "r16", "r32", "r64") if name <= stage]
models = {}
model = None
for name in stages:
    fade_in = 0 if model is None else images // 4
    model = gan3d.train(data, name, model, fade_in=fade_in, stabilise=images - fade_in, seed=seed)
    models[name] = model

# %%
model.sample(data.classes[0], 12, seed=1)

# %%
model.sample(data.classes[-1], 12, seed=1)

# %% [markdown]
# Curves of all stages:

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, len(models), figsize=(5 * len(models), 3), layout="constrained", squeeze=False)
for axis, (name, trained) in zip(axes[0], models.items(), strict=True):
    for key in ("loss_d", "loss_g"):
        axis.plot([row["images"] for row in trained.history], [row[key] for row in trained.history], label=key)
    axis.set(title=name, xlabel="images")
    axis.legend()

# %% [markdown]
# The scores of the project's protocol, beside those of real shapes:

# %%
gan3d.score(model, data, count=40, draws=1)

# %%
model.save(f"output/notebooks/{stage}")
