"""Where a result goes, and what a reader of all files below an output finds before, during and after a run."""

import errno
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales import read_predictions
from gamesales.data import parquet_file
from gamesales.data.screen import RejectLimit
from gamesales.errors import TooManyRejectsError, UsageError
from gamesales.scoring import commit, shard_bounds
from gamesales.scoring.output import OutputPaths, find_form, is_single_file
from support.runs import DAY, halted, score, simple_version, snapshot
from support.versions import titles_table

VERSION = simple_version()
ROWS = 2_000


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in. Shards and batches are small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 500)
    monkeypatch.setattr(parquet_file, "BATCH_ROWS", 100)
    return tmp_path


def write_input(path, rows=ROWS, first_price=50.0):
    prices = pa.array([first_price] + [50.0] * (rows - 1))
    table = titles_table(rows)
    table = table.set_column(table.schema.get_field_index("unit_price"), "unit_price", prices)
    parquet.write_table(table, path, row_group_size=250)
    return path


def count_rows(folder):
    """The rows that a reader of ``**/*.parquet`` finds, also in hidden folders, as DuckDB and Polars do."""
    return sum(parquet.read_metadata(path).num_rows for path in Path(folder).rglob("*.parquet"))


class TestForms:
    @pytest.mark.parametrize(
        ("name", "form"),
        [
            ("out.csv", ".csv"),
            ("out.CSV.GZ", ".csv.gz"),
            ("a.b.parquet", ".parquet"),
            ("predictions", ""),
            ("v1.2", ""),
            ("predictions.d", ""),
            ("csv", ""),
            (".csv", ""),
        ],
    )
    def test_form_by_name(self, name, form):
        """A name that ends in .csv, .csv.gz or .parquet is one file. Any other name is a folder."""
        assert (form, form != "") == (find_form(Path(name)), is_single_file(Path(name)))
        assert OutputPaths(Path(name), DAY).suffix == (form or ".parquet")

    @pytest.mark.parametrize("name", ["x.xlsx", "x.json", "x.csv.zip", "x.csv.zst", "x.gz", "x.pq", "x.TSV", "-"])
    def test_other_files_are_refused(self, tmp_path, name):
        """A name of a file in another format is refused with the accepted forms."""
        with pytest.raises(
            UsageError, match=r"--output expects a path that ends in \.csv, \.csv\.gz or \.parquet, or"
        ) as failure:
            OutputPaths(tmp_path / name, DAY)
        if name != "-":
            assert f"For example: --output {tmp_path}/x.csv" == failure.value.hint

    def test_existing_folder_is_accepted(self, tmp_path):
        """A folder that already has such a name stays a folder of results."""
        (tmp_path / "results.json").mkdir()
        assert not OutputPaths(tmp_path / "results.json", DAY).is_file


class TestReadersOfAllFiles:
    """A reader of **/*.parquet below the output finds the published rows, and nothing else."""

    @pytest.mark.parametrize(
        ("output", "pattern"), [("out", "*.parquet"), ("out.parquet", "*.parquet"), ("out.csv", "out*/**/*.csv")]
    )
    def test_during_a_run(self, here, output, pattern):
        """Unfinished parts have other names."""
        write_input(here / "t")
        found = set()
        report = score(VERSION, "t", output, on_rows=lambda rows: found.update(here.rglob(pattern)))
        assert (report.rows_scored, report.shards) == (ROWS, 4)
        assert found == set()

    def test_during_the_next_run(self, here):
        """While a date is scored again, the published rows are found."""
        write_input(here / "old", 700)
        score(VERSION, "old", "out")
        write_input(here / "new")
        counts = set()
        score(
            VERSION, "new", "out", on_rows=lambda rows: counts.add((count_rows("out"), len(parquet.read_table("out"))))
        )
        assert counts == {(700, 700)}
        assert (count_rows("out"), len(parquet.read_table("out"))) == (ROWS, ROWS)

    def test_after_a_failed_run(self, here):
        """A run with too many rejects leaves no part for readers."""
        write_input(here / "old", 700)
        score(VERSION, "old", "out")
        write_input(here / "new", first_price=-1.0)
        with pytest.raises(TooManyRejectsError):
            score(VERSION, "new", "out", limit=RejectLimit(0, 0.0))
        assert count_rows("out") == 700

    def test_after_a_killed_run(self, tmp_path, simple_registry):
        """A killed run leaves no part for readers, and the next run publishes all rows."""
        write_input(tmp_path / "t.parquet", 6_000)
        words = ("score", "t.parquet", "--output", "out", "--date", str(DAY))
        with halted(tmp_path, *words) as process:
            assert any(tmp_path.rglob("*.part"))
            process.kill()
        assert count_rows(tmp_path / "out") == 0

    @pytest.mark.parametrize("step", ["_swap", "discard"])
    @pytest.mark.parametrize("way", ["exchange", "renames"])
    def test_killed_while_publishing(self, here, monkeypatch, step, way):
        """Before the swap readers find the old rows, after it the new rows. The next run removes what is left."""
        if way == "renames":
            monkeypatch.setattr(commit, "_exchange", lambda first, second: False)
        write_input(here / "old", 700)
        score(VERSION, "old", "out")
        write_input(here / "new")
        calls = []

        def stop(*arguments):
            if step == "_swap" or (here / f"out/run_date={DAY}/_run.json").stat().st_mtime_ns != before:
                calls.append(arguments)
                raise KeyboardInterrupt

        before = (here / f"out/run_date={DAY}/_run.json").stat().st_mtime_ns
        with monkeypatch.context() as patches:
            patches.setattr(commit, step, stop)
            with pytest.raises(KeyboardInterrupt):
                score(VERSION, "new", "out")
        assert calls
        assert count_rows("out") == (700 if step == "_swap" else ROWS)
        score(VERSION, "new", "out")
        assert count_rows("out") == ROWS
        assert sorted(os.listdir(here)) == ["new", "old", "out"]  # noqa: PTH208, names
        assert os.listdir("out") == [f"run_date={DAY}"]  # noqa: PTH208, names


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EACCES, errno.EROFS])
def test_folder_of_dates_stands_alone(here, monkeypatch, number):
    """If nothing can be put next to the folder of dates, a date is published from inside it."""
    rename = os.rename

    def rename_inside(source, target):
        if Path(target).resolve().parent == here:
            raise OSError(number, os.strerror(number), str(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_inside)
    for rows in (700, ROWS):
        write_input(here / "t", rows)
        score(VERSION, "t", "out")
        assert count_rows("out") == rows
        assert os.listdir("out") == [f"run_date={DAY}"]  # noqa: PTH208, names
    assert sorted(os.listdir(here)) == ["out", "t"]  # noqa: PTH208, names


def test_longest_folder_name(here):
    """A folder of dates may have the longest name that the file system accepts."""
    output = "o" * 255
    for rows in (700, ROWS):
        write_input(here / "t", rows)
        score(VERSION, "t", output)
        assert count_rows(output) == rows
    assert os.listdir(output) == [f"run_date={DAY}"]  # noqa: PTH208, names


def test_working_folder_of_earlier_release(here):
    """Parts that a run of an earlier release left are neither published nor kept."""
    write_input(here / "t")
    run_id = score(VERSION, "t", "whole").run_id
    work = here / f"out/.run_date={DAY}.work"
    for folder in ("made/_rejects", "ids", "ledger"):
        (work / folder).mkdir(parents=True)
    (work / "run_id").write_text("f" * 64)
    write_input(work / "made/part-ffffffff-00000.parquet", 500)
    (work / "ids/00000").write_bytes(b"")
    (work / "ledger/00000.json").write_text(
        json.dumps(
            {"scored": {"0": 500}, "rejected": {}, "shadow": None, "files": {"made/part-ffffffff-00000.parquet": 1}}
        )
    )
    report = score(VERSION, "t", "out")
    assert (report.run_id, report.shards_resumed) == (run_id, 0)
    assert count_rows("out") == ROWS
    whole, again = (snapshot(here / name / f"run_date={DAY}") for name in ("whole", "out"))
    assert {name: data for name, data in whole.items() if name != "_run.json"} == {
        name: data for name, data in again.items() if name != "_run.json"
    }
    assert not work.exists()


@pytest.mark.parametrize("output", ["store:1", "store:1.parquet", "store:1.csv"])
def test_colon_in_a_path(here, output):
    """A relative path may have a colon, as a URI does."""
    path = write_input(here / "in.parquet", rows=10)
    score(VERSION, [path], Path(output))
    assert 10 == len(read_predictions(output, None if is_single_file(Path(output)) else DAY))
