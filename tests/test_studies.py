"""The studies behind figures of the documentation; fewer nights and turns than theirs."""

import re

from conftest import ROOT

from benchmarks.studies import __main__ as program
from benchmarks.studies import drift, folding, gate


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
