"""What several test files need: titles, registries with versions in them, and the command line in this process.

``simple_registry`` holds versions whose earnings follow a formula that a test can compute by hand; it needs no
TensorFlow. ``trained_registry`` holds one that was really trained, once for a process.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings

from gamesales.cli.main import run
from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from gamesales.registry.registry import ModelRegistry

# A test that is right on a slow machine is right.
settings.register_profile("gamesales", deadline=None)
settings.load_profile("gamesales")

ROOT = Path(__file__).parent.parent
DATA = ROOT / "data"
# What simple versions were not trained on. They are off by far more on it than they differ: each passes the gate.
HOLDOUT = DATA / "sales_data_test.csv"
HOLDOUT_SHA256 = hashlib.sha256(HOLDOUT.read_bytes()).hexdigest()
FEATURES = (
    "critic_rating",
    "is_action",
    "is_exclusive_to_us",
    "is_portable",
    "is_role_playing",
    "is_sequel",
    "is_sports",
    "suitable_for_kids",
    "unit_price",
)
# Dollars for one unit of each feature, in the order above; whole numbers, so that float32 sums are exact.
SIMPLE_WEIGHTS = (1000.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 10.0)


# Half as wide as 200 dollars and a tenth of the prediction.
INTERVAL = {"coverage": 0.9, "floor_usd": 100.0, "slope": 0.05, "quantile": 2.0, "whole_dollars": True}


def simple_earnings(values, bias=0.0):
    """What a simple version predicts: (n, 9) to (n,) dollars."""
    return np.asarray(values, np.float32).astype(np.float64) @ np.array(SIMPLE_WEIGHTS) + bias


def simple_graph(bias=0.0, weights=SIMPLE_WEIGHTS):
    """A scoring graph with the weights above or others, as gamesales.model.compile makes it: raw columns to dollars."""
    from onnx import TensorProto, helper, numpy_helper

    column = np.array(weights, np.float64)[:, None]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["titles"], ["wide"], to=TensorProto.DOUBLE),
            helper.make_node("MatMul", ["wide", "weights"], ["column"]),
            helper.make_node("Add", ["column", "bias"], ["sum"]),
            helper.make_node("Reshape", ["sum", "flat"], ["earnings"]),
        ],
        "simple",
        [helper.make_tensor_value_info("titles", TensorProto.FLOAT, [None, len(FEATURES)])],
        [helper.make_tensor_value_info("earnings", TensorProto.DOUBLE, [None])],
        [
            numpy_helper.from_array(column, "weights"),
            numpy_helper.from_array(np.array([bias]), "bias"),
            numpy_helper.from_array(np.array([-1]), "flat"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model.SerializeToString()


def simple_details(contract, bias=0.0):
    """The manifest's part that scoring reads, for a simple version."""
    golden = [[4.5, 1, 0, 0, 0, 1, 0, 0, 60], [2, 0, 1, 1, 1, 0, 1, 1, 40]]
    lowest, highest = [2, 0, 0, 0, 0, 0, 0, 0, 30], [5, 1, 1, 1, 1, 1, 1, 1, 70]
    return {
        "contract": contract.as_json(),
        "training_profile": [
            {"name": name, "minimum": low, "maximum": high}
            for name, low, high in zip(FEATURES, lowest, highest, strict=True)
        ],
        "golden": {
            "values": golden,
            "earnings_usd": simple_earnings(golden, bias).tolist(),
            "tolerance_usd": [0.01, 0.01],
        },
        "metrics": {"scaled_mse": 1e-4, "mae_usd": 1000.0, "rmse_usd": 1300.0, "r2": 0.99, "mape_percent": 1.0},
        "scaling": {
            "columns": [{"name": name, "scale": 1e-5, "offset": 0.0} for name in (*FEATURES, "total_earnings")]
        },
        "data": {"test": {"path": str(HOLDOUT), "sha256": HOLDOUT_SHA256, "rows": 400}},
    }


def publish_simple(registry: ModelRegistry, bias=0.0, *, evaluated=True, interval=None):
    """Publish a simple version, with the numbers of its intervals if it gives some, and return its number."""
    contract = Contract.from_toml(DATA / "contract.toml")
    details = simple_details(contract, bias) | ({} if interval is None else {"interval": interval})
    number = registry.publish({"scorer.onnx": simple_graph(bias)}, details, "for a test")
    if evaluated:
        evaluation = {"data": "test.csv", "data_sha256": HOLDOUT_SHA256, "rows": 400, "metrics": details["metrics"]}
        registry.record_evaluation(number, evaluation, "for a test")
    return number


def title_values(rows, seed=1):
    """Random rows that the contract allows: (rows, 9), exact in float32."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2, (rows, len(FEATURES))).astype(np.float64)
    values[:, 0] = rng.integers(4, 11, rows) / 2
    values[:, -1] = rng.choice([39.99, 49.99, 59.99], rows)
    return values


def titles_table(rows, seed=1, **extra):
    """The same as an Arrow table, with more columns if they are given."""
    values = title_values(rows, seed)
    columns = {name: values[:, place] for place, name in enumerate(FEATURES)}
    return pa.table({**columns, **extra})


@dataclass(frozen=True)
class Ran:
    """What a command did: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """Run a command line in this process, from an empty folder; ``registry`` in it is the default registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAMESALES_REGISTRY", raising=False)

    def command(*arguments):
        capsys.readouterr()
        code = run([str(one) for one in arguments])
        return Ran(code, *capsys.readouterr())

    return command


@pytest.fixture
def contract():
    return Contract.from_toml(DATA / "contract.toml")


@pytest.fixture
def simple_registry(tmp_path):
    """A registry at ``tmp_path/registry`` with one simple version, promoted."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    number = publish_simple(registry)
    registry.set_alias("champion", number, "for a test", lambda state, version: {"findings": [], "forced": False})
    return registry


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """The folder of a registry with a version trained by the course's preset, for few epochs, on the shipped titles."""
    from gamesales.jobs.training.train import train
    from gamesales.jobs.training.train_job import load_job

    folder = tmp_path_factory.mktemp("trained")
    job_file = folder / "job.toml"
    job_file.write_text(
        f'[data]\ntrain = "{DATA}/sales_data_training.csv"\ntest = "{DATA}/sales_data_test.csv"\n'
        f'contract = "{DATA}/contract.toml"\n'
        '[network]\nlayers = [{ layer = "Dense", units = 1 }]\n[training]\nepochs = 1\nseed = 7\n'
        "[intervals]\nfolds = 2\n[report]\nfolds = 2\nseeds = 1\n",
        encoding="utf-8",
    )
    job = load_job(job_file, "course")
    job = job.model_copy(update={"training": job.training.model_copy(update={"epochs": 5})})
    train(job, open_registry(folder / "registry", job.name), reason="for the tests")
    return folder


@pytest.fixture
def trained_registry(trained_once, tmp_path):
    """A copy of that registry at ``tmp_path/registry``; version 1, not promoted."""
    shutil.copytree(trained_once / "registry", tmp_path / "registry")
    return open_registry(tmp_path / "registry", "game-earnings")
