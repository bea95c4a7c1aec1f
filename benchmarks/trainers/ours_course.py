"""The whole command with the preset of the course, with its checks, baselines, report and registration."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT
from benchmarks.trainer import Answer

LABEL = "gamesales train --preset course"


def main(train: str, test: str, seed: str, *options: str, **changes: str) -> Answer:
    """Train into a registry that is deleted afterwards, with other options or other values of the job file."""
    job = (ROOT / "jobs/train.toml").read_text(encoding="utf-8")
    for key, value in {"train": train, "test": test, "seed": seed, **changes}.items():
        line = f"{key} = {value if value.isdigit() else json.dumps(value)}"
        job, count = re.subn(rf"\b{key} = [^\s,]+", lambda _match, line=line: line, job)
        assert count == 1, key
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.toml"
        path.write_text(job, encoding="utf-8")
        command = [sys.executable, "-m", "gamesales", "train", str(path), *(options or ("--preset", "course"))]
        command += ["--registry", f"{folder}/registry", "--json"]
        trained = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    return {"fit_s": None, "scaled_mse": trained["metrics"]["scaled_mse"], "curve": []}
