"""The titles with the highest predictions: the same for any shards, workers and resumed runs."""

from dataclasses import asdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.data import csv_scan
from gamesales.data.screen import RejectLimit
from gamesales.scoring import shard_bounds
from gamesales.scoring.ledger import ShardResult, TopTitle, format_entry, parse_entry, read_ledger
from gamesales.scoring.top_titles import merge_top_titles
from support.runs import network_version, score, write_mixed
from support.versions import title_values, titles_table

REFERENCES = title_values(8, seed=5)
LIMIT = RejectLimit(0, 0.5)


@pytest.fixture
def small_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_scan, "CHUNK_BYTES", 6_000)
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 400)
    monkeypatch.chdir(tmp_path)


def explain(output, **options):
    report = score(network_version(), "in", output, explain=7, references=REFERENCES, limit=LIMIT, **options)
    return [asdict(title) for title in report.explanations]


def test_any_number_of_workers(small_shards, tmp_path, monkeypatch):
    """One worker, three workers and one large shard give the same explanations, bit for bit."""
    write_mixed(tmp_path / "in", 3_000)
    expected = explain("single")
    assert 7 == len(expected)
    assert expected == explain("three", workers=3)
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 1 << 18)
    assert expected == explain("whole")


def test_resumed_run(small_shards, tmp_path):
    """A run that is interrupted and resumed has the same explanations."""
    parquet.write_table(titles_table(2_000, title_id=pa.array([f"T{row}" for row in range(2_000)])), tmp_path / "in")
    expected = explain("expected")

    def interrupt(rows):
        if any(map(read_ledger, tmp_path.glob("out/.run_date=*.work/run-*"))):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain("out", on_rows=interrupt)
    assert expected == explain("out")


@given(
    shards=st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=5),
    count=st.integers(1, 5),
)
@settings(max_examples=50)
def test_merge(shards, count):
    """Of equal predictions, the first rows of the result count, whatever shard they are in."""
    results = []
    for predictions in shards:
        titles = [TopTitle(row, float(value), [], {}) for row, value in enumerate(predictions, 1)]
        top = sorted(titles, key=lambda title: -title.predicted)[:count]
        results.append(ShardResult(scored={0: len(predictions)}, top_titles=top))
    joined = [value for predictions in shards for value in predictions]
    expected = sorted(range(len(joined)), key=lambda row: -joined[row])[:count]
    merged = merge_top_titles(results, count)
    assert [(row + 1, joined[row]) for row in expected] == [(title.row, title.predicted) for title in merged]


def test_ledger_round_trip():
    """An entry of the ledger holds the titles bit for bit."""
    result = ShardResult(scored={0: 9}, top_titles=[TopTitle(3, 0.1 + 0.2, [4.5, 1 / 3], {"title_id": "é\n"})])
    assert result == parse_entry(format_entry(result).encode())
