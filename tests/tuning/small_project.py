"""Parameters of a project that is tuned within seconds."""

from pathlib import Path

import yaml

from gan3d import params, project

REPOSITORY = Path(__file__).resolve().parents[2]

TUNE = {"trials": 4, "images": 384, "seconds": None, "report": 128, "count": 12, "draws": 1, "heartbeat": 1}
TUNE["pruner"] = "none"
TUNE["space"] = {"lr_g": {"low": 5e-3, "high": 2e-2, "log": True}, "batch": [8, 16]}


def small(tree: dict) -> None:
    tree["data"] |= {"source": "shapes", "resolution": 8}
    tree["gan"] |= {"latent": 8, "penalty_every": 1, "ema": 0.5}
    stage = {"batch": 8, "lr_g": 0.005, "lr_d": 0.005, "stabilise": 384}
    tree["train"]["stages"] = {
        "r04": {"prev": "scratch", "width": 16, "fade_in": 0, **stage},
        "r08": {"prev": "r04", "width": 8, "fade_in": 64, **stage},
    }
    tree["track"] = {"log": 16, "picture": 48, "checkpoint": 32, "pictured": 3}
    tree["tune"] |= TUNE


def edit(home: project.Project, change) -> params.Params:
    """Change params.yaml and read it."""
    tree = yaml.safe_load(home.params.read_text(encoding="utf-8"))
    change(tree)
    home.params.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return params.load(home.params)
