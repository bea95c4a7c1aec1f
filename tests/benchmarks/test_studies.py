"""The studies behind figures of the documentation; fewer nights and turns than theirs."""

import re
from unittest.mock import patch

import numpy as np
import onnx
import pytest

from benchmarks.studies import __main__ as program
from benchmarks.studies import accuracy, drift, gate, graphs, intervals, many
from gamesales.data.contract import Contract
from gamesales.training import fit as learning
from gamesales.training import onnx_graph as compiling
from gamesales.training.spec import PRESETS, NetworkSpec, TrainingSpec
from support.versions import ROOT


def test_the_drift_study_prints_the_table_of_its_page(monkeypatch):
    """Its header, its rows and the figures that need no more than some nights."""
    monkeypatch.setattr(drift, "NIGHTS", dict.fromkeys(drift.NIGHTS, 10))
    monkeypatch.setattr(drift, "CHANGED_NIGHTS", 5)
    page = (ROOT / "docs/drift.md").read_text(encoding="utf-8")
    text, header, rule, *rows = drift.lines()
    assert re.fullmatch(r"of 30 titles: \d+ % in the predictions, \d+ % in at least one column\n", text)
    assert f"{header}\n{rule}\n" in page
    assert all(f"\n{row.partition(' % ')[0].rpartition(' ')[0]} " in page for row in rows)
    assert [row.count("|") for row in rows] == [header.count("|")] * len(drift.NIGHTS)
    assert "100 %" in rows[-1]


def test_a_night_of_a_changed_store_is_changed_in_that_only():
    study, random = drift.Study(), drift.np.random.default_rng(1)
    genre = drift.FEATURES.index("is_role_playing")
    assert 0.6 < study.doubled("is_role_playing")(random, 1_000)[:, genre].mean() < 0.8
    price = drift.FEATURES.index("unit_price")
    assert study.dearer(random, 1_000)[:, price].min() == study.store[:, price].min() + 20


def test_the_study_of_graphs_tells_of_each_way_for_each_network(monkeypatch):
    monkeypatch.setattr(graphs, "ROWS", 2_048)
    monkeypatch.setattr(graphs, "TURNS", 2)
    told = [line.partition(", the graph is")[0] for line in graphs.lines()]
    assert told == [
        f"{name}: {way}" for name in ("the default network", "the course's network") for way in graphs.WITHOUT
    ]


def test_each_way_makes_another_graph():
    """A switch that no longer switched anything would compare a graph with itself."""
    built, scaling = graphs.network_of(PRESETS["course"]["network"])

    def shape():
        graph = onnx.load_from_string(compiling.compile_graph(built, scaling)).graph
        return [node.op_type for node in graph.node], [(one.data_type, *one.dims) for one in graph.initializer]

    usual = shape()
    assert shape() == usual
    for way, other in graphs.WITHOUT.items():
        with patch.multiple(compiling, **other):
            assert shape() != usual, way


def test_the_intervals_study_prints_the_table_of_its_page(monkeypatch):
    """Its header, and a row for each method and coverage, of intervals that hold about as many titles as asked."""
    monkeypatch.setattr(intervals, "DIVISIONS", 2)
    monkeypatch.delenv("TITLES", raising=False)
    page = (ROOT / "docs/intervals.md").read_text(encoding="utf-8")
    _, header, rule, *rows = intervals.lines()
    assert f"{header}\n{rule}\n" in page
    assert len(rows) == 2 * len(intervals.COVERAGES)
    for row in rows:
        name, method, asked, held, *_ = (cell.strip(" %") for cell in row.strip("|").split("|"))
        assert f"\n| {name} | {method} | {asked} % | " in page
        assert abs(float(held) - float(asked)) < 15


def test_the_accuracy_study_prints_the_table_of_its_page(monkeypatch):
    """Its header, and the first cells of the rows that are asked for; a shortened training reaches no such errors."""
    quick = accuracy.DEFAULT.with_(epochs=2)
    candidates = accuracy.CANDIDATES
    monkeypatch.setattr(accuracy, "CANDIDATES", (quick,))
    monkeypatch.setattr(accuracy, "NETWORKS", 2)
    monkeypatch.delenv("TITLES", raising=False)
    page = (ROOT / "docs/accuracy.md").read_text(encoding="utf-8")
    formula, header, rule, row = accuracy.lines()
    assert formula.strip() in page
    assert [header.count("|")] * 2 == [rule.count("|"), row.count("|")]
    told = [float(cell.split()[0]) for cell in row.strip("|").split("|")[3:]]
    assert all(10 < error < 10_000 for error in told)
    named = [name for name in map(accuracy._described, candidates) if f"\n| {name} |" not in page]
    assert named == []


def test_networks_that_are_trained_at_once_learn_what_keras_would_alone():
    """The same recipe in Keras, several seeds each: errors of the same size, on a line that is easy to learn."""
    random = np.random.default_rng(1)
    features = random.random((300, 9))
    earnings = 50_000 + features @ random.uniform(-20_000, 20_000, 9) + 9_000 * features[:, 0] * features[:, 1]
    recipe = many.Recipe((8,), "silu", 30, 16, 0.02)
    contract = Contract.from_toml(ROOT / "data/contract.toml")
    layers = [{"layer": "Dense", "units": 8, "activation": "silu"}, {"layer": "Dense", "units": 1}]

    def by_keras(seed):
        schedule = {"name": "CosineDecay", "initial_learning_rate": 0.02, "decay_epochs": 30}
        training = TrainingSpec(epochs=30, batch_size=16, schedule=schedule, seed=seed)
        return learning.learn(NetworkSpec(layers=layers), training, contract, features, earnings)

    together = many.learn(recipe, [(features, earnings)] * 8, 1)
    errors = [
        [np.abs(predict(features) - earnings).mean() for predict in group]
        for group in (together, map(by_keras, range(1, 5)))
    ]
    assert len(set(errors[0])) == 8
    assert 0.5 < np.median(errors[0]) / np.median(errors[1]) < 2


@pytest.mark.parametrize("rows", [(40, 40, 40), (40, 33, 48)])
def test_each_network_learns_its_own_titles(rows):
    """One learns that all earn little, another that all earn much, whichever sizes are trained together."""
    random = np.random.default_rng(1)
    sets = [
        (random.random((n, 9)), 1_000.0 * level + random.random(n)) for n, level in zip(rows, (1, 50, 900), strict=True)
    ]
    learnt = many.learn(many.Recipe((4,), "tanh", 2, 16, 0.01), sets, 1)
    for (features, earnings), predict in zip(sets, learnt, strict=True):
        assert np.abs(predict(features) - earnings).max() < 20


def test_the_gate_study_prints_the_table_of_its_page(monkeypatch):
    """Its header, and the first rows of it whole: they take a second."""
    monkeypatch.setattr(gate, "ROWS", gate.ROWS[:2])
    page = (ROOT / "docs/registry.md").read_text(encoding="utf-8")
    header, rule, *rows = gate.lines()
    assert f"{header}\n{rule}\n" in page
    assert 2 == sum(f"\n{row}\n" in page for row in rows)


def test_pages_name_the_command_of_every_study():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert [name for name in program.NAMES if f"python -m benchmarks.studies {name}" not in pages] == []
