# %% [markdown]
# # Compare experiments
#
# Two trainings that differ in one value, logged to MLflow, scored by one protocol. `dvc exp run -S gan.loss=…` does
# this for the whole pipeline; a notebook is for questions that need minutes.

# %% tags=["parameters"]
experiments = {"relativistic": {}, "gated (2018)": {"loss": "bce_gated", "penalty_every": 1, "beta_1": 0.5}}
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
import matplotlib.pyplot as plt
import mlflow
import pandas as pd

from gan3d.tracking.store import connect

connect(find_project().mlruns)
models, scores = {}, {}
for name, settings in experiments.items():
    with mlflow.start_run(run_name=f"notebook {name}", tags={"stage": stage, "comparison": "notebook 08"}):
        mlflow.log_params({"stage": stage, "images": images} | settings)
        models[name] = gan3d.train(data, stage, stabilise=images, **settings)
        scores[name] = gan3d.score(models[name], data, count=40, draws=1)
        for row in models[name].history:
            mlflow.log_metrics({key: row[key] for key in ("loss_d", "loss_g")}, step=int(row["images"]))
        mlflow.log_metric("test/mean/one_nna_cd", scores[name]["one_nna_cd"] or 1.0)

# %% [markdown]
# Scores of all experiments, and the floor: what real shapes reach.

# %%
keys = ("one_nna_cd", "cov_cd", "mmd_cd_x1e3", "jsd")
table = pd.DataFrame({name: {key: each[key] for key in keys} for name, each in scores.items()}).T
floor = next(row for row in next(iter(scores.values())).rows if row["kind"] == "floor" and row["class"] == "mean")
table.loc["floor (real shapes)"] = [floor[key] for key in keys]
table.round(3)

# %% [markdown]
# With 40 shapes per class, 1-NNA-CD has an error of about ±0.1: smaller differences say nothing yet.

# %%
figure, axes = plt.subplots(1, len(models), figsize=(6 * len(models), 3), layout="constrained", squeeze=False)
for axis, (name, model) in zip(axes[0], models.items(), strict=True):
    for key in ("accuracy_real", "accuracy_fake"):
        axis.plot([row["images"] for row in model.history], [row[key] for row in model.history], label=key)
    axis.set(title=name, xlabel="images", ylim=(0, 1.02))
    axis.legend()

# %%
class_name = data.classes[0]
parts = [model.sample(class_name, 6, seed=1) for model in models.values()]
sum(parts[1:], parts[0])  # one row per experiment

# %% [markdown]
# The runs are in MLflow, beside those of the pipeline: `make ui`.

# %%
runs = mlflow.search_runs(experiment_names=["gan3d"], filter_string="tags.comparison = 'notebook 08'")
runs[["tags.mlflow.runName", "metrics.test/mean/one_nna_cd", "metrics.loss_d", "start_time"]].head(6)
