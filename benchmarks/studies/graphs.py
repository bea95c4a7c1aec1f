"""How much faster a scoring graph is for how it is compiled: both graphs in turn, in CPU seconds."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.assets import ROOT
from benchmarks.figures import with_interval
from benchmarks.show import spread, times
from gamesales.scoring.scorer import CHUNK_ROWS, Scorer

TURNS = 100
ROWS = 16 * CHUNK_ROWS
# What is done, and what compiles a graph without it.
WITHOUT: dict[str, dict[str, Any]] = {
    "with scaling in the first layer's weights": {"_FARTHEST_OFFSET": -1.0},
    "with titles lying across": {"_may_lie_across": lambda _layer: False},
}


def lines() -> Iterator[str]:
    """Yield a line for each way and each of the two networks that are trained here."""
    from gamesales.training import onnx_graph as compiling
    from gamesales.training.spec import PRESETS

    default = tomllib.loads((ROOT / "jobs/train.toml").read_text(encoding="utf-8"))["network"]
    for name, network in (("the default network", default), ("the course's network", PRESETS["course"]["network"])):
        built, scaling = network_of(network)
        usual = compiling.compile_graph(built, scaling)
        for way, other in WITHOUT.items():
            # No user needs such a switch.
            with patch.multiple(compiling, **other):
                faster = with_interval(_ratios(usual, compiling.compile_graph(built, scaling)))
            yield f"{name}: {way}, the graph is {spread(faster, times)} as fast; {TURNS} turns of {ROWS:,} rows"


def network_of(spec: Any) -> tuple[Any, Any]:
    """Build an untrained network, which has biases as a trained one, and its scaling."""
    from gamesales.data.contract import Contract
    from gamesales.data.simulate import TARGET, simulate
    from gamesales.training.network import build_network, seed_everything
    from gamesales.training.scaling import fit_scaler
    from gamesales.training.spec import NetworkSpec

    names = Contract.from_toml(ROOT / "data/contract.toml").feature_names
    past = next(simulate(1_000, seed=1))
    values = np.column_stack([np.asarray(past[name], np.float64) for name in names])
    _, scaling = fit_scaler(names, TARGET, values, np.asarray(past[TARGET], np.float64))
    seed_everything(1)
    built = build_network(NetworkSpec.model_validate(spec), len(names))
    for layer in built.layers:
        layer.bias.assign(np.linspace(-0.1, 0.1, layer.units))
    return built, scaling


def _ratios(usual: bytes, other: bytes) -> list[float]:
    """Return of each turn the time of the other graph over that of the usual one."""
    rows = np.random.default_rng(1).random((ROWS, 9), np.float32)
    graphs = [Scorer(usual), Scorer(other)]
    for graph in graphs:
        graph.score(rows)
    taken = []
    for turn in range(TURNS):
        order = graphs if turn % 2 else graphs[::-1]
        taken.append({graph: _seconds(graph, rows) for graph in order})
    return [seconds[graphs[1]] / seconds[graphs[0]] for seconds in taken]


def _seconds(graph: Scorer, rows: Any) -> float:
    """Return CPU seconds: the graph has one thread, and other programs on the machine count less so."""
    started = time.process_time()
    graph.score(rows)
    return time.process_time() - started
