"""DVC called by its path, without an activated environment, still finds `gan3d`."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from paths import REPOSITORY


def test_every_stage_finds_gan3d_in_the_environment_of_make_setup(tmp_path):
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    commands = [stage.get("do", stage)["cmd"] for stage in stages.values()]
    assert all(" gan3d " in command for command in commands)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    tool = tmp_path / ".venv" / "bin" / "gan3d"
    tool.write_text("#!/bin/sh\necho gan3d $* >> log\n")
    tool.chmod(0o755)
    small = {f"s{i}": {"cmd": command.replace("${key}", "r04")} for i, command in enumerate(commands)}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": small}))
    bare = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    dvc = [str(Path(sys.executable).with_name("dvc"))]
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, env=bare, check=True)
    subprocess.run([*dvc, "init", "-q"], cwd=tmp_path, env=bare, check=True)
    done = subprocess.run([*dvc, "repro", "-q"], cwd=tmp_path, env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = ["data source", "data synthetic", "evaluate", "output", "prepare", "register", "train r04"]
    assert sorted((tmp_path / "log").read_text().splitlines()) == [f"gan3d {words}" for words in expected]
