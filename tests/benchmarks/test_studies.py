"""The studies behind numbers of the documentation, with fewer runs."""

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.studies import __main__ as program
from benchmarks.studies import accuracy, drift, gate, intervals, many, references
from support.versions import ROOT


def read_page(name):
    return (ROOT / f"docs/explanation/{name}.md").read_text(encoding="utf-8")


def test_drift_study_prints_its_page(monkeypatch):
    """The drift study prints the header and the first cells of the rows of its page."""
    monkeypatch.setattr(drift, "RUNS", dict.fromkeys(drift.RUNS, 10))
    monkeypatch.setattr(drift, "CHANGED_RUNS", 5)
    text, header, rule, *rows = drift.build_lines()
    page = read_page("drift")
    assert re.fullmatch(r"of 30 titles: \d+% in the predictions, \d+% in at least one column\n", text)
    assert f"{header}\n{rule}\n" in page
    assert all(f"\n{row.partition('%')[0].rpartition(' ')[0]} " in page for row in rows)
    assert [row.count("|") for row in rows] == [header.count("|")] * len(drift.RUNS)
    assert "100%" in rows[-1]


def test_changed_store_has_the_change():
    """A changed store has twice the genre, or higher prices."""
    study, random = drift.Study(), np.random.default_rng(1)
    genre, price = (drift.FEATURES.index(name) for name in ("is_role_playing", "unit_price"))
    assert 0.6 < study.make_doubled_draw("is_role_playing")(random, 1_000)[:, genre].mean() < 0.8
    assert study.draw_expensive(random, 1_000)[:, price].min() == study.store[:, price].min() + 20


@pytest.mark.slow
def test_intervals_study_prints_its_page(monkeypatch):
    """The intervals study prints the headers of its page, rows with about the requested coverage, and all changes."""
    monkeypatch.setattr(intervals, "SPLITS", 2)
    monkeypatch.setattr(intervals, "STORES", 1)
    monkeypatch.delenv("TITLES", raising=False)
    page = read_page("intervals")
    lines, count = list(intervals.build_lines()), 3 + 2 * len(intervals.COVERAGES)
    (_, header, rule, *rows), (_, *headers), changes = lines[:count], lines[count : count + 3], lines[count + 3 :]
    assert f"{header}\n{rule}\n" in page
    assert "\n".join(headers) in page
    assert all("|".join(row.split("|")[:3]) in page for row in changes)
    for row in rows:
        name, method, requested, coverage, *_ = (cell.strip(" %") for cell in row.strip("|").split("|"))
        assert f"\n| {name} | {method} | {requested}% | " in page
        assert abs(float(coverage) - float(requested)) < 15


@pytest.mark.slow
def test_accuracy_study_prints_its_page(monkeypatch):
    """The accuracy study prints the header of its page, and plausible errors; the page has every candidate."""
    candidates = accuracy.CANDIDATES
    monkeypatch.setattr(accuracy, "CANDIDATES", (replace(accuracy.DEFAULT, epochs=2),))
    monkeypatch.setattr(accuracy, "NETWORKS", 2)
    monkeypatch.delenv("TITLES", raising=False)
    page = read_page("accuracy")
    formula, header, rule, row = accuracy.build_lines()
    assert all(number in page for number in re.findall(r"\d\.\d\d", formula))
    assert all(f"| {name} |" in page for name in header.strip("| ").split(" | ")[:5])
    assert [header.count("|")] * 2 == [rule.count("|"), row.count("|")]
    assert all(10 < float(cell.split()[0]) < 10_000 for cell in row.strip("|").split("|")[3:])
    names = map(accuracy.describe_recipe, candidates)
    assert [name for name in names if f"\n| {name} |" not in page] == []


@pytest.mark.parametrize("rows", [(40, 40, 40), (40, 33, 48)])
def test_each_network_has_its_titles(rows):
    """Each network learns from its own titles, also if the sizes differ."""
    random = np.random.default_rng(1)
    levels = zip(rows, (1, 50, 900), strict=True)
    sets = [(random.random((count, 9)), 1_000.0 * level + random.random(count)) for count, level in levels]
    networks = many.train_networks(many.Recipe((4,), "tanh", 2, 16, 0.01), sets, 1)
    for (features, earnings), predict in zip(sets, networks, strict=True):
        assert np.abs(predict(features) - earnings).max() < 20


def test_gate_study_prints_its_page(monkeypatch):
    """The gate study prints the header and the first rows of its page."""
    monkeypatch.setattr(gate, "ROWS", gate.ROWS[:2])
    page = read_page("gate")
    header, rule, *rows = gate.build_lines()
    assert f"{header}\n{rule}\n" in page
    assert [f"\n{row}\n" in page for row in rows] == [True, True]


def test_pages_name_every_study():
    """Some page names the command of each study."""
    paths = (ROOT / "docs").rglob("*.md")
    pages = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in paths)
    assert [name for name in program.NAMES if f"python -m benchmarks.studies {name}" not in pages] == []


@pytest.mark.slow
def test_references_study_prints_its_record(monkeypatch):
    """The references study prints the header and the choices of its record. Herding is better than random titles."""
    monkeypatch.setattr(references, "EXPLAINED", 3)
    monkeypatch.setattr(references, "SEEDS", 2)
    page = (ROOT / "docs/decisions/2026-11-30-explanations.md").read_text(encoding="utf-8")
    text, header, rule, *rows = references.build_lines()
    assert re.fullmatch(r"mean prediction \$[\d,]+, mean absolute effect \$[\d,]+\n", text)
    assert f"{header}\n{rule}\n" in page
    errors = {}
    for row in rows:
        name, _, error = (cell.strip() for cell in row.strip("|").split("|"))
        errors[name.partition(" (")[0]] = float(error.strip("$").replace(",", ""))
    assert all(f"\n| {name}" in page for name in errors)
    assert errors["herding over features and prediction"] < errors["random"] / 2
