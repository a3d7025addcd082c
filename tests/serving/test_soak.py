"""Ten thousand requests, a thousand of them invalid: no server error, no growing memory."""

import json
import subprocess
import sys

import pytest
from paths import REPOSITORY

BENCHMARK = REPOSITORY / "benchmarks" / "serving.py"


@pytest.mark.full
def test_ten_thousand_requests(tmp_path):
    command = [sys.executable, BENCHMARK, "--only", "soak", "--out", tmp_path / "soak.json"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=3600)
    found = json.loads((tmp_path / "soak.json").read_text())["gan3d serve"]["soak"]
    assert (found["good"], found["malformed"]) == (9000, 1000)
    assert "wrong status" not in found
    assert set(found["statuses"]) == {"200", "400", "413"}
    assert found["memory_growth_mib"] < 50
