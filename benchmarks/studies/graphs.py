"""How much faster are graphs by the way they are compiled? Two graphs run in turn, measured in CPU seconds."""

import time
import timeit
import tomllib
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.measure import ROOT
from benchmarks.tables import show
from gamesales.scoring.scorer import CHUNK_ROWS, Scorer

TURNS = 100
ROWS = 16 * CHUNK_ROWS
# Each optimization, and a patch that compiles a graph without it.
PATCHES: dict[str, dict[str, Any]] = {
    "with scaling in the first layer's weights": {"_MAX_FOLDED_OFFSET": -1.0},
    "with transposed titles": {"_can_be_transposed": lambda _layer: False},
}


def build_lines() -> Iterator[str]:
    """Yield a line for each optimization and each of the two networks."""
    from gamesales.training import onnx_graph
    from gamesales.training.train_job import PRESETS

    default = tomllib.loads((ROOT / "jobs/train.toml").read_text(encoding="utf-8"))["network"]
    for name, spec in (("the default network", default), ("the course's network", PRESETS["course"]["network"])):
        network, scaling = build_network(spec)
        optimized = Scorer(onnx_graph.compile_graph(network, scaling))
        for optimization, replaced in PATCHES.items():
            with patch.multiple(onnx_graph, **replaced):
                plain = Scorer(onnx_graph.compile_graph(network, scaling))
            gain = show(compute_ratios(optimized, plain), "×")
            yield f"{name}: {optimization}, the graph is {gain} as fast; {TURNS} turns of {ROWS:,} rows"


def build_network(spec: Any) -> tuple[Any, Any]:
    """Build an untrained network with biases that are not zero, and its scaling."""
    from gamesales.data.contract import Contract
    from gamesales.data.simulate import TARGET, simulate
    from gamesales.training.keras_objects import seed_everything
    from gamesales.training.network import build_network as build
    from gamesales.training.scaling import fit_scaler
    from gamesales.training.train_job import NetworkSpec

    names = Contract.from_toml(ROOT / "data/contract.toml").feature_names
    titles = next(simulate(1_000, seed=1))
    values = np.column_stack([np.asarray(titles[name], np.float64) for name in names])
    _, scaling = fit_scaler(names, TARGET, values, np.asarray(titles[TARGET], np.float64))
    seed_everything(1)
    network = build(NetworkSpec.model_validate(spec), len(names))
    for layer in network.layers:
        layer.bias.assign(np.linspace(-0.1, 0.1, layer.units))
    return network, scaling


def compute_ratios(optimized: Scorer, plain: Scorer) -> list[float]:
    """Return for each turn the CPU time of the plain graph divided by the time of the optimized graph."""
    rows = np.random.default_rng(1).random((ROWS, 9), np.float32)
    ratios = []
    for turn in range(-1, TURNS):
        seconds = {}
        for graph in (optimized, plain) if turn % 2 else (plain, optimized):
            # A graph has one thread, and other programs affect CPU time less.
            seconds[graph] = timeit.timeit(partial(graph.score, rows), timer=time.process_time, number=1)
        ratios.append(seconds[plain] / seconds[optimized])
    return ratios[1:]  # without the first calls
