"""Versions for titles with categories, dates and missing cells. Training and TensorFlow are not needed.

``mixed_version`` predicts a sum that a test can compute by hand. ``encoded_version`` has the encoder and the network
that training makes, with random weights; it needs TensorFlow.
"""

from __future__ import annotations

import functools

import numpy as np

from gamesales.data.contract import Column, Contract
from gamesales.jobs.loading import open_registry
from gamesales.scoring.reference_titles import REFERENCES_FILE, format_references
from gamesales.scoring.scorer import Scorer, load_version
from support.versions import HOLDOUT, HOLDOUT_SHA256

GENRES = ("Action", "RPG", "Sports")
PLATFORMS = ("PS4", "Wii", "X360")
PUBLISHERS = ("7", "12", "2006")
MIXED = Contract(
    Column("global_sales", "number", "million copies", minimum=0, scale="log"),
    (
        Column("genre", "category", values=GENRES),
        Column("platform", "category", values=PLATFORMS, missing="category"),
        Column("publisher", "category", values=PUBLISHERS, unseen="reject"),
        Column("released", "date", missing="median"),
        Column("year", "number", missing="mean", encoding="quantiles", minimum=1980, maximum=2030),
        Column("is_sequel", "flag"),
    ),
    identity=("title_id",),
    missing_values=("N/A", "tbd"),
)
# Million copies for each code of the categories, for a day, a year and a sequel; exact in float32.
CODE_WEIGHTS = {
    "genre": (1.0, 2.0, 4.0, 8.0),
    "platform": (16.0, 32.0, 64.0, 128.0, 256.0),
    "publisher": (0.0, 512.0, 1024.0, 2048.0),
}
DAY_WEIGHT, YEAR_WEIGHT, SEQUEL_WEIGHT = 2.0**-7, 2.0**-3, 0.5
# What a missing date and a missing year become: 2020-01-01, and a year.
MISSING_DAYS, MISSING_YEAR = 18_262.0, 2006.0

# Good cells of a title, in the order of the contract, and what it is predicted.
GOOD = {
    "genre": "RPG",
    "platform": "PS4",
    "publisher": "12",
    "released": "2020-01-01",
    "year": "2008",
    "is_sequel": "1",
}
GOOD_SALES = 4.0 + 32.0 + 1024.0 + MISSING_DAYS * DAY_WEIGHT + 2008 * YEAR_WEIGHT + SEQUEL_WEIGHT


def mixed_sales(values):
    """What a mixed version predicts: numbers, codes, days and NaN, (n, 6), to (n,) million copies."""
    genre, platform, publisher, days, years, sequel = np.asarray(values, np.float64).T
    codes = {"genre": genre, "platform": platform, "publisher": publisher}
    total = sum(np.array(CODE_WEIGHTS[name])[column.astype(int)] for name, column in codes.items())
    days = np.where(np.isnan(days), MISSING_DAYS, days)
    years = np.where(np.isnan(years), MISSING_YEAR, years)
    return total + days * DAY_WEIGHT + years * YEAR_WEIGHT + sequel * SEQUEL_WEIGHT


def mixed_values(rows, seed=1):
    """Random titles as screening gives them, float64 (rows, 6): codes, days, years and flags, some of them missing."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.integers(0, 4, rows),
        rng.integers(0, 5, rows),
        rng.integers(1, 4, rows),
        np.where(rng.random(rows) < 0.2, np.nan, rng.integers(10_000, 20_000, rows)),
        np.where(rng.random(rows) < 0.2, np.nan, rng.integers(1980, 2021, rows)),
        rng.integers(0, 2, rows),
    ]
    return np.column_stack(columns).astype(np.float64)


def mixed_cells(values):
    """The cells of titles as a table has them, lists by column: texts, None for a missing cell, dates in ISO 8601."""
    genre, platform, publisher, days, years, sequel = np.asarray(values, np.float64).T.tolist()
    return {
        "genre": [("Puzzle", *GENRES)[int(code)] for code in genre],
        "platform": [("PC", *PLATFORMS, None)[int(code)] for code in platform],
        "publisher": [PUBLISHERS[int(code) - 1] for code in publisher],
        "released": [None if day != day else str(np.datetime64(int(day), "D")) for day in days],
        "year": [None if year != year else int(year) for year in years],
        "is_sequel": [int(flag) for flag in sequel],
    }


def mixed_graph(contract=MIXED):
    """A scoring graph with the weights above: raw columns, codes and NaN to million copies.

    Further columns of a contract are ignored. The graph keeps a code within the list of weights.
    """
    from onnx import TensorProto, helper, numpy_helper

    make, nodes, parts, constants = helper.make_node, [], [], {}
    names = list(contract.feature_names)
    for name, weights in CODE_WEIGHTS.items():
        constants |= {f"{name}/at": np.int64(names.index(name)), f"{name}/weights": np.array(weights)}
        nodes += [
            make("Gather", ["titles", f"{name}/at"], [f"{name}/raw"], axis=1),
            make("Cast", [f"{name}/raw"], [f"{name}/code"], to=TensorProto.INT64),
            make("Gather", [f"{name}/weights", f"{name}/code"], [f"{name}/part"]),
        ]
        parts.append(f"{name}/part")
    numbers = {"released": (MISSING_DAYS, DAY_WEIGHT), "year": (MISSING_YEAR, YEAR_WEIGHT), "is_sequel": (0.0, 0.5)}
    for name, (fill, weight) in numbers.items():
        constants |= {f"{name}/at": np.int64(names.index(name)), f"{name}/fill": np.float32(fill)}
        constants[f"{name}/weight"] = np.float64(weight)
        nodes += [
            make("Gather", ["titles", f"{name}/at"], [f"{name}/raw"], axis=1),
            make("IsNaN", [f"{name}/raw"], [f"{name}/missing"]),
            make("Where", [f"{name}/missing", f"{name}/fill", f"{name}/raw"], [f"{name}/filled"]),
            make("Cast", [f"{name}/filled"], [f"{name}/wide"], to=TensorProto.DOUBLE),
            make("Mul", [f"{name}/wide", f"{name}/weight"], [f"{name}/part"]),
        ]
        parts.append(f"{name}/part")
    nodes.append(make("Sum", parts, ["sales"]))
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info("titles", TensorProto.FLOAT, [None, len(names)])],
        [helper.make_tensor_value_info("sales", TensorProto.DOUBLE, [None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def mixed_details(contract=MIXED, golden=None, expected=None):
    """The manifest's part that scoring reads. Training had the titles of ``mixed_values(2_000, seed=7)``."""
    from gamesales.training.evaluation import profile_column, profile_features

    training = mixed_values(2_000, seed=7)
    golden = [[2, 1, 2, 18_262, 2008, 1], [0, 4, 1, 12_000, 1999, 0]] if golden is None else golden
    expected = mixed_sales(golden).tolist() if expected is None else expected
    return {
        "contract": contract.as_json(),
        "training_profile": profile_features(contract, training),
        "prediction_profile": profile_column("predicted_earnings", mixed_sales(training)),
        "golden": {
            "values": golden,
            "expected_predictions": expected,
            "prediction_tolerance": [0.01] * len(golden),
        },
        "metrics": {"scaled_mse": 1e-4, "mae": 10.0, "rmse": 13.0, "r2": 0.9, "mape_percent": 1.0},
        "scaling": {
            "columns": [{"name": name, "scale": 1.0, "offset": 0.0} for name in (*contract.feature_names, "sales")]
        },
        "data": {"test": {"path": str(HOLDOUT), "sha256": HOLDOUT_SHA256, "rows": 400}},
        "flag_combinations": {"columns": ["is_sequel"], "seen": [0, 1]},
    }


@functools.cache
def mixed_version(number=1):
    """A loaded version whose predictions follow ``mixed_sales``."""
    return load_version("game-sales", number, "2" * 64, mixed_details(), mixed_graph())


def publish_mixed(folder, name="game-earnings", *, references=40, record=None):
    """Publish and promote a mixed version in ``folder/registry``, and return the registry.

    ``record`` has further keys of its manifest.
    """
    registry = open_registry(folder / "registry", name)
    files = {"scorer.onnx": mixed_graph()}
    details = mixed_details() | (record or {})
    if references:
        files[REFERENCES_FILE] = format_references(MIXED, mixed_values(references, seed=6))
        details["reference_titles"] = references
    number = registry.publish(files, details, "for a test")
    registry.set_alias("champion", number, "for a test", lambda state, version: {"findings": [], "forced": False})
    return registry


@functools.cache
def encoded_version(seed=3):
    """A loaded version with the encoder and the network of training, with random weights. It needs TensorFlow."""
    from gamesales.training.encoding import add_encoder, fit_encoding
    from gamesales.training.keras_objects import seed_everything
    from gamesales.training.network import build_network
    from gamesales.training.onnx_graph import compile_graph
    from gamesales.training.scaling import fit_scaler
    from gamesales.training.train_job import LayerSpec, NetworkSpec

    training = mixed_values(2_000, seed=7)
    _, scaling = fit_scaler(MIXED, training, mixed_sales(training))
    layers = (LayerSpec(layer="Dense", units=16, activation="silu"), LayerSpec(layer="Dense", units=1))
    seed_everything(seed)
    network = add_encoder(NetworkSpec(layers=layers), fit_encoding(MIXED, training))
    graph = compile_graph(build_network(network, len(MIXED.features)), scaling)
    golden = mixed_values(2, seed=9)
    expected = Scorer(graph).score(golden).tolist()
    rows = [[None if cell != cell else cell for cell in row] for row in golden.tolist()]
    details = mixed_details(golden=rows, expected=expected)
    return load_version("game-sales", 1, "3" * 64, details, graph)
