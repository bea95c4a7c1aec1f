"""The whole command by the course's preset, with its checks, baselines, report and registration."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.assets import ROOT

LABEL = "gamesales train --preset course"


def main(train: str, test: str, answer: str, seed: str, *options: str, **changed: str) -> None:
    """Train into a registry that is thrown away. What is training alone, the command does not tell.

    Args: options: of the command; changed: other values of the job file.
    """
    with tempfile.TemporaryDirectory() as folder:
        job = (ROOT / "jobs/train.toml").read_text(encoding="utf-8")
        path = Path(folder) / "job.toml"
        path.write_text(_with(job, train=train, test=test, seed=seed, **changed), encoding="utf-8")
        command = [sys.executable, "-m", "gamesales", "train", str(path), *(options or ("--preset", "course"))]
        command += ["--registry", f"{folder}/registry", "--json"]
        trained = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    told = {"start_s": None, "fit_s": None, "scaled_mse": trained["metrics"]["scaled_mse"], "curve": []}
    Path(answer).write_text(json.dumps(told), encoding="utf-8")


def _with(job: str, **values: str) -> str:
    """Put other values into the lines of a job file."""
    for key, value in values.items():
        shown = value if value.isdigit() else json.dumps(value)
        job, found = re.subn(rf"\b{key} = [^\s,]+", lambda _match, shown=shown, key=key: f"{key} = {shown}", job)
        assert found == 1, key
    return job


if __name__ == "__main__":
    main(*sys.argv[1:])
