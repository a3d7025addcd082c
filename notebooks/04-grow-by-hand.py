# %% [markdown]
# # Grow a stage by hand
#
# A progressive GAN is trained at 4³, then at 8³, and so on. Here is the whole loop, without the pipeline around it:
# growing both networks, fading the new layers in, and the step that updates them.

# %% tags=["parameters"]
images = 6000  # at 4³, and again at 8³
batch = 16
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

# %% [markdown]
# ## 4³, with the library's loop
#
# `gan3d.train` does everything below by itself, resumes and reports. Its result holds both networks.

# %%
coarse = gan3d.train(data, "r04", stabilise=images, seed=seed)
coarse.sample(data.classes[0], 6, seed=1)

# %% [markdown]
# ## 8³, by hand
#
# `grow` builds networks with one more resolution. All weights of the coarser networks are in them; only the new layers
# are random. While `alpha` rises from 0 to 1, their output replaces the upsampled coarse one.

# %%
import numpy as np

from gan3d.backend import compile_steps
from gan3d.networks.architecture import Architecture
from gan3d.training import batches
from gan3d.training.growth import grow
from gan3d.training.loop import trained_model
from gan3d.training.recipe import Recipe
from gan3d.training.step import first_state, make_step

occupancy = tuple(data.summary["occupancy"][key] for key in ("r04", "r08"))  # how full the shapes are
widths = (*coarse.trained.architecture.widths, 32)
architecture = Architecture(coarse.latent, tuple(data.classes), widths, occupancy)
generator, discriminator, first = grow(coarse.trained, architecture, seed)

recipe = Recipe(batch=batch, lr_g=5e-3, lr_d=5e-3, fade_in=images // 3, stabilise=images - images // 3, seed=seed)
print(f"{generator.count_params():,} and {discriminator.count_params():,} weights")

# %% [markdown]
# ## The loop
#
# One chunk of steps at a time: draw real shapes, latents and flips (all random numbers depend on the seed and the
# images seen alone, so a training can be repeated), then let the compiled step update D, G and the moving average of G.

# %%
rows = data.select("train")
shapes, labels, mirrored = data.packed(8), data.labels[rows], data.mirrored("measured")[rows]
run = compile_steps(make_step(generator, discriminator, recipe), recipe.penalty_every)
state = first_state(generator, discriminator, recipe.adapted)
state["ema"] = list(first.ema.values())  # the average starts as that of 4³

history, seen, steps = [], 0, 4 * recipe.penalty_every
while seen < recipe.images:
    drawn = batches.draw(shapes, rows, labels, mirrored, architecture.latent, seen, steps, recipe)
    state, logs = run(state, drawn)
    seen += steps * recipe.batch
    history.append({"images": seen, "alpha": batches.alpha(seen, recipe)})
    history[-1] |= {key: float(np.mean(logs[key])) for key in ("loss_d", "loss_g", "accuracy_real", "accuracy_fake")}
    if len(history) % 4 == 0:
        print({key: round(value, 3) for key, value in history[-1].items()})

# %%
fine = gan3d.Model(trained_model(state, first), "r08 by hand")
fine.sample(data.classes[0], 6, seed=1)

# %% [markdown]
# The same latents at both resolutions: the finer shapes grew out of the coarse ones.

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
for axis, names in zip(axes, (("loss_d", "loss_g"), ("accuracy_real", "accuracy_fake", "alpha")), strict=True):
    for name in names:
        axis.plot([row["images"] for row in history], [row[name] for row in history], label=name)
    axis.set(xlabel="images at 8³")
    axis.legend()

# %% [markdown]
# `fine.save("models/by-hand")` writes the model; `gan3d sample --model models/by-hand` reads it.
