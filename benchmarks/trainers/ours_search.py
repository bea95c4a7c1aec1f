"""The whole command with jobs/tune.toml for 20 trials: each is trained on five folds, and the best is registered."""

import json
import subprocess
import sys
import tempfile

from benchmarks.measure import ROOT
from benchmarks.trainer import Answer

LABEL = "gamesales tune, 20 trials"
CASE = "1,000 past titles, a search"


def main(train: str, test: str, seed: str) -> Answer:  # noqa: ARG001  the job names the same files
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gamesales", "tune", "jobs/tune.toml", "--trials", "20", "--json"]
        command += ["--registry", f"{folder}/registry", "--storage", f"{folder}/search"]
        tuned = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    search = tuned["search"]
    per_minute = 60 * search["trials"] / search["seconds"]
    return {"fit_s": search["seconds"], "scaled_mse": tuned["metrics"]["scaled_mse"], "trials_per_minute": per_minute}
