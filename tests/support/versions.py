"""Versions whose earnings a test can compute by hand, and titles for them. No TensorFlow is needed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from gamesales.registry.registry import ModelRegistry
from gamesales.scoring.reference_titles import REFERENCES_FILE, format_references
from gamesales.stats.amounts import record_unit

ROOT = Path(__file__).parents[2]


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
INTERVAL = {"coverage": 0.9, "floor": 100.0, "slope": 0.05, "quantile": 2.0, "whole_units": True}


# What new versions record: one combination of flags, is_action and is_sequel, and how intervals of other titles widen.
FLAGS = FEATURES[1:-1]


SEEN_FLAGS = {"columns": list(FLAGS), "seen": [0b0010001]}


WIDENING = {
    "distances": [0.0, 1.0, 2.0],
    "columns": [{"name": "unit_price", "below": [1.0, 3.0, 5.0], "above": [1.0, 2.0, 6.0]}],
    "combination": 10.0,
}


NEW_RECORD = {"flag_combinations": SEEN_FLAGS, "interval": {**INTERVAL, "widening": WIDENING}}


def simple_earnings(values, bias=0.0):
    """What a simple version predicts: (n, 9) to (n,) dollars."""
    return np.asarray(values, np.float32).astype(np.float64) @ np.array(SIMPLE_WEIGHTS) + bias


def simple_graph(bias=0.0, weights=SIMPLE_WEIGHTS):
    """A scoring graph with the weights above or others, as training makes it: raw columns to dollars."""
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
        [helper.make_tensor_value_info("titles", TensorProto.FLOAT, [None, len(weights)])],
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
            "expected_predictions": simple_earnings(golden, bias).tolist(),
            "prediction_tolerance": [0.01, 0.01],
        },
        "metrics": {"scaled_mse": 1e-4, "mae": 1000.0, "rmse": 1300.0, "r2": 0.99, "mape_percent": 1.0},
        "scaling": {
            "columns": [{"name": name, "scale": 1e-5, "offset": 0.0} for name in (*FEATURES, "total_earnings")]
        },
        "data": {"test": {"path": str(HOLDOUT), "sha256": HOLDOUT_SHA256, "rows": 400}},
    }


def publish_simple(
    registry: ModelRegistry, bias=0.0, *, evaluated=True, interval=None, record=None, references=None, contract=None
):
    """Publish a simple version, with the numbers of its intervals if it gives some, and return its number.

    ``record`` has further keys of its manifest, ``references`` its reference titles, (r, 9), and ``contract`` its
    contract, the shipped one by default.
    """
    contract = contract or Contract.from_toml(DATA / "contract.toml")
    details = simple_details(contract, bias) | ({} if interval is None else {"interval": interval}) | (record or {})
    files = {}
    if references is not None:
        files[REFERENCES_FILE] = format_references(contract, references)
        details["reference_titles"] = len(references)
    number = registry.publish({"scorer.onnx": simple_graph(bias), **files}, details, "for a test")
    if evaluated:
        evaluation = {"data": "test.csv", "data_sha256": HOLDOUT_SHA256, "rows": 400, "metrics": details["metrics"]}
        evaluation |= record_unit(contract.unit)
        registry.record_evaluation(number, evaluation, "for a test")
    return number


def publish_profiled(registry: ModelRegistry, reason=""):
    """Publish and promote a simple version that knows how its training titles are distributed."""
    from gamesales.training.evaluation import profile_column, profile_columns

    values = title_values(2_000, seed=7)
    profiles = {
        "training_profile": profile_columns(FEATURES, values),
        "prediction_profile": profile_column("predicted_earnings", simple_earnings(values)),
    }
    number = publish_simple(registry, evaluated=False, record=profiles, references=title_values(50, seed=6))
    registry.set_alias("champion", number, reason, lambda state, version: {"findings": [], "forced": False})


def publish_promoted(folder):
    """Publish and promote a simple version in ``folder/registry``, and return the registry."""
    registry = open_registry(folder / "registry", "game-earnings")
    number = publish_simple(registry)
    registry.set_alias("champion", number, "for a test", lambda state, version: {"findings": [], "forced": False})
    return registry


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
