"""Parameters of a project that is tuned in seconds."""

import yaml

from gan3d.config.loading import load_params
from gan3d.config.project import Project
from gan3d.config.schema import Params

TUNE = {
    "trials": 4,
    "images": 384,
    "seconds": None,
    "report": 128,
    "count": 12,
    "draws": 1,
    "heartbeat": 1,
    "objective": "one_nna_cd",
}
TUNE["pruner"] = "none"
TUNE["space"] = {"lr_g": {"low": 5e-3, "high": 2e-2, "log": True}, "batch": [8, 16]}


def small(tree: dict) -> None:
    tree["data"] |= {"source": "shapes", "resolution": 8}
    tree["gan"] |= {"latent": 8, "penalty_every": 1, "ema": 0.5, "symmetric": 0.0}
    stage = {"batch": 8, "lr_g": 0.005, "lr_d": 0.005, "stabilise": 384}
    tree["train"]["stages"] = {
        "r04": {"prev": "scratch", "width": 16, "fade_in": 0, **stage},
        "r08": {"prev": "r04", "width": 8, "fade_in": 64, **stage},
    }
    tree["logging"] = {
        "metrics_every": 16,
        "samples_every": 48,
        "checkpoint_every": 32,
        "samples_per_class": 3,
    }
    tree["tune"] |= TUNE


def edit(home: Project, change) -> Params:
    """Change params.yaml and load it."""
    tree = yaml.safe_load(home.params.read_text(encoding="utf-8"))
    change(tree)
    home.params.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return load_params(home.params)
