"""How much faster a scoring graph is with scaling folded into its first layer: both graphs in turn, in CPU seconds."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.assets import ROOT
from benchmarks.figures import figure
from benchmarks.show import spread, times
from gamesales.scoring.scorer import CHUNK_ROWS, Scorer

TURNS = 100
ROWS = 16 * CHUNK_ROWS


def lines() -> Iterator[str]:
    """Yield a line for each of the two networks that are trained here."""
    from gamesales.model.spec import PRESETS

    default = tomllib.loads((ROOT / "jobs/train.toml").read_text(encoding="utf-8"))["network"]
    for name, network in (("the default network", default), ("the course's network", PRESETS["course"]["network"])):
        faster = figure(_ratios(*_graphs(network)))
        yield f"{name}: folded, the graph is {spread(faster, times)} as fast; {TURNS} turns of {ROWS:,} rows"


def _graphs(network: Any) -> tuple[bytes, bytes]:
    """Compile an untrained network as it is compiled, and with scaling as a step of its own."""
    from gamesales.data.contract import Contract
    from gamesales.data.simulate import TARGET, simulate
    from gamesales.model import compile as compiling
    from gamesales.model.network import build_network, seed_everything
    from gamesales.model.scaling import fit_scaler
    from gamesales.model.spec import NetworkSpec

    names = Contract.from_toml(ROOT / "data/contract.toml").feature_names
    past = next(simulate(1_000, seed=1))
    values = np.column_stack([np.asarray(past[name], np.float64) for name in names])
    _, scaling = fit_scaler(names, TARGET, values, np.asarray(past[TARGET], np.float64))
    seed_everything(1)
    built = build_network(NetworkSpec.model_validate(network), len(names))
    folded = compiling.compile_graph(built, scaling)
    farthest, compiling._FARTHEST_OFFSET = compiling._FARTHEST_OFFSET, -1.0  # noqa: SLF001, no user needs such a switch
    try:
        return folded, compiling.compile_graph(built, scaling)
    finally:
        compiling._FARTHEST_OFFSET = farthest  # noqa: SLF001


def _ratios(folded: bytes, stepwise: bytes) -> list[float]:
    """Return of each turn the time of the graph with its own scaling over that of the folded one."""
    rows = np.random.default_rng(1).random((ROWS, 9), np.float32)
    graphs = [Scorer(folded), Scorer(stepwise)]
    for graph in graphs:
        graph.score(rows)
    taken = [[_seconds(graph, rows) for graph in graphs] for _ in range(TURNS)]
    return [slow / fast for fast, slow in taken]


def _seconds(graph: Scorer, rows: Any) -> float:
    """Return CPU seconds: the graph has one thread, and other programs on the machine count less so."""
    started = time.process_time()
    graph.score(rows)
    return time.process_time() - started
