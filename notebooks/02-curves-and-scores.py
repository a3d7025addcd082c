# %% [markdown]
# # Curves and scores of a run
#
# Every training is a run in MLflow. This notebook reads one from there and plots how its losses, the accuracy of its
# discriminator and its validation score went. Where there is no run yet, it trains a small stage first and logs it,
# which also shows how to track a training of your own.

# %% tags=["parameters"]
run_id = ""  # of a training run; empty: the newest one
images = 4000  # of the small training, where there is no run

# %%
import os

import gan3d
from gan3d.config.project import find_project

os.chdir(find_project().work)  # all paths are those of the repository

import matplotlib.pyplot as plt
import mlflow
import pandas as pd

from gan3d.tracking.metric_names import LOSS, MetricRows
from gan3d.tracking.store import connect

client = connect(find_project().mlruns)
experiment = mlflow.get_experiment_by_name("gan3d")


def newest() -> str:
    found = client.search_runs([experiment.experiment_id], "tags.stage LIKE 'r%' AND attributes.status = 'FINISHED'")
    trained = [run for run in found if LOSS in run.data.metrics]
    return trained[0].info.run_id if trained else ""


run_id = run_id or newest()

# %% [markdown]
# A callback is told about each logged row. This one sends it to MLflow, under the names that the pipeline uses.


# %%
class Track(gan3d.Callback):
    rows = MetricRows()

    def on_log(self, row):
        named = self.rows.convert(row)
        mlflow.log_metrics(named, step=int(named.pop("images")))


if not run_id:
    folder = "data/voxels" if os.path.exists("data/voxels/manifest.csv") else "output/notebooks/voxels"
    if not os.path.exists(folder):
        gan3d.prepare("synthetic", folder, resolution=16)
    with mlflow.start_run(run_name="notebook r04", tags={"stage": "r04"}) as run:
        gan3d.train(folder, "r04", stabilise=images, metrics_every=256, callback=Track())
    run_id = run.info.run_id
run = client.get_run(run_id)
run.info.run_name, run_id


# %%
def curve(name: str) -> pd.Series:
    """A metric over the images seen."""
    history = client.get_metric_history(run_id, name)
    return pd.Series([point.value for point in history], [point.step for point in history], name=name, dtype=float)


figure, axes = plt.subplots(1, 3, figsize=(13, 3.4), layout="constrained")
panels = {
    "losses": ("loss/discriminator", "loss/generator"),
    "accuracy of D": ("monitoring/accuracy", "monitoring/accuracy_real", "monitoring/accuracy_fake"),
    "scores by D, median": [f"monitoring/scores/{of}_p50" for of in ("train", "validation", "generated")],
}
for axis, (title, names) in zip(axes, panels.items(), strict=True):
    for name in names:
        points = curve(name)
        if len(points):  # a run of your own may log less
            axis.plot(points.index, points, label=name.rpartition("/")[2])
    axis.set(title=title, xlabel="images")
    if axis.lines:
        axis.legend(fontsize=8)

# %% [markdown]
# The scores that `gan3d evaluate` logged for this run, and those of the validation during training. They are explained
# in `docs/evaluation.md`: look at 1-NNA-CD first; 0.5 is ideal.

# %%
means = [key for key in run.data.metrics if key.startswith("evaluation/") and key.count("/") == 1]
scores = {key: run.data.metrics[key] for key in (*means, "evaluation/validation/one_nna_cd") if key in run.data.metrics}
pd.Series(scores, name="value", dtype=float).sort_index().to_frame()
