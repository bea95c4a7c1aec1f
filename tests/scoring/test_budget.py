"""What scoring may import, do and allocate, compared with tests/scoring/budget.json: counts, so that nothing flakes.

A change that loads another library, runs the graph more often or holds more memory fails here. Undo the change, or
write a new budget and commit it:

    RENEW_BUDGET=1 python -m pytest tests/scoring/test_budget.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gamesales.data.simulate import write_titles

BUDGET = Path(__file__).with_name("budget.json")
ROWS = 100_000
# Peaks differ slightly between releases of Python and NumPy.
SLACK = 0.10

# Runs in a fresh process: INPUT OUTPUT REGISTRY. Modules of the interpreter itself do not count.
COUNT = """
import json, sys
at_start = set(sys.modules)
from importlib.metadata import packages_distributions
from gamesales.cli.main import run

source, output, registry = sys.argv[1:]
assert run(["score", source, "--output", output, "--registry", registry, "--json"]) == 0
modules = sorted(set(sys.modules) - at_start)
ours = [name for name in modules if name.split(".")[0] == "gamesales"]
packages = {name.split(".")[0] for name in modules} - {"gamesales"}
libraries = {each for name, provided in packages_distributions().items() if name in packages for each in provided}
print(json.dumps({"libraries": sorted(libraries), "modules": ours}))
"""

# The same run again, with what it does counted; then one batch alone, on one thread, with its memory watched.
MEASURE = """
import json, sys, tracemalloc
from collections import Counter
from datetime import date
from pathlib import Path
import onnxruntime, pyarrow as pa
from pyarrow import parquet
from gamesales.data.open_table import open_table
from gamesales.jobs.loading import load, open_registry
from gamesales.jobs.score import score_date
from gamesales.jobs.score_job import ScoreJob
from gamesales.registry.refs import parse_ref
from gamesales.scoring.predict import predict_batch

counts = Counter()

def counted(owner, method, name, size):
    plain = getattr(owner, method)
    def wrapper(self, *given):
        counts[name] += 1
        counts[name + "_rows"] += size(given)
        return plain(self, *given)
    setattr(owner, method, wrapper)

counted(onnxruntime.InferenceSession, "run", "graph_runs", lambda given: len(next(iter(given[1].values()))))
counted(parquet.ParquetWriter, "write_table", "groups_written", lambda given: len(given[0]))

source, output, registry = sys.argv[1:]
registry, ref = open_registry(registry, "game-earnings"), parse_ref("@champion", "game-earnings")
score_date(ScoreJob((source,), Path(output)), registry, date(2026, 11, 23))
counted_in_run = dict(counts)

version = load(registry, ref)
table = open_table(Path(source))
batch = next(iter(table.read_batches(version.contract.feature_names)))
predict_batch(batch, version)
pool = pa.proxy_memory_pool(pa.default_memory_pool())
pa.set_memory_pool(pool)
tracemalloc.start()
predict_batch(batch, version)
peaks = {"python_and_numpy": tracemalloc.get_traced_memory()[1], "arrow": pool.max_memory()}
print(json.dumps({"counts": counted_in_run, "batch_rows": len(batch.rows), "peak_bytes": peaks}))
"""


def in_fresh_process(code, *arguments):
    """Run code where neither pytest nor coverage has imported anything."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTEST"))}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def found(simple_registry, tmp_path):
    write_titles(tmp_path / "few.parquet", 1_000, with_target=False)
    write_titles(tmp_path / "many.parquet", ROWS, with_target=False)
    registry = tmp_path / "registry"
    imported = in_fresh_process(COUNT, tmp_path / "few.parquet", tmp_path / "few_out.parquet", registry)
    measured = in_fresh_process(MEASURE, tmp_path / "many.parquet", tmp_path / "many_out.parquet", registry)
    found = {**imported, **measured}
    if os.environ.get("RENEW_BUDGET"):
        BUDGET.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def test_scoring_stays_within_its_budget(found):
    """One test, as it takes two processes to count."""
    budget = json.loads(BUDGET.read_bytes())
    for key in ("libraries", "modules", "counts", "batch_rows"):
        assert budget[key] == found[key], f"{key}: see the top of this file"
    for key, peak in budget["peak_bytes"].items():
        assert found["peak_bytes"][key] == pytest.approx(peak, rel=SLACK), f"{key}: see the top of this file"
