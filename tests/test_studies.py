"""The studies behind figures of the documentation; fewer nights and turns than theirs."""

import re

import numpy as np
import pytest
from conftest import ROOT

from benchmarks.studies import __main__ as program
from benchmarks.studies import drift, folding, gate, intervals


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


def test_the_folding_study_compares_graphs_that_give_the_same_dollars(monkeypatch):
    monkeypatch.setattr(folding, "ROWS", 2_048)
    monkeypatch.setattr(folding, "TURNS", 2)
    told = list(folding.lines())
    assert all("folded, the graph is" in line for line in told)
    assert len(told) == 2


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


def test_the_network_of_the_intervals_study_learns_by_the_slopes_of_its_loss():
    """Each slope is that of the loss, measured by moving the weight a little either way."""
    network, random = intervals.Network(3, np.random.default_rng(1)), np.random.default_rng(2)
    x, y = random.random((8, 3)).astype(np.float32), random.random((8, 1)).astype(np.float32)

    def loss(place, step):
        network.flat[place] += step
        found = np.mean((network.predict(x) - y[:, 0]) ** 2)
        network.flat[place] -= step
        return found

    slopes = network.slope(x, y)
    for place in random.integers(0, len(network.flat), 40):
        measured = (loss(place, 1e-2) - loss(place, -1e-2)) / 2e-2
        assert measured == pytest.approx(slopes[place], rel=0.02, abs=1e-4)


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
