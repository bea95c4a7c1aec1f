"""Reading a result that may be replaced meanwhile: all of one run, or nothing."""

import json
import shutil
import threading
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from gamesales import read_predictions
from gamesales.errors import InputError, InputNotFoundError, UsageError
from gamesales.scoring import results as reading
from gamesales.scoring.commit import publish_file
from support.runs import GOOD_EARNS, csv_line, csv_text, earnings, score, simple_version
from support.versions import FEATURES, titles_table

VERSION = simple_version()
FILES = ["out.csv", "out.parquet"]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Results of both kinds: a title, a name with commas and line breaks, and an id that only text can hold."""
    monkeypatch.chdir(tmp_path)
    rows = [csv_line("007", '"of, two\nlines"'), csv_line("", '""'), csv_line("008", "1.50", unit_price="70")]
    Path("in.csv").write_text(csv_text(rows, [*FEATURES, "title_id", "title"]))
    for output in [*FILES, "out"]:
        score(VERSION, "in.csv", output)
    return tmp_path


@pytest.mark.parametrize("output", FILES)
def test_a_single_file_is_read_with_its_types_and_text_as_it_stands(results, output):
    table = read_predictions(output)
    assert table.column("title_id").to_pylist() == ["007", "", "008"]
    assert table.column("title").to_pylist() == ["of, two\nlines", "", "1.50"]
    assert table.column("predicted_earnings").to_pylist() == [GOOD_EARNS, GOOD_EARNS, GOOD_EARNS + 100]
    added = [(field.name, field.type) for field in table.schema][-3:]
    assert added == [
        ("predicted_earnings", pa.float64()),
        ("outside_training_range", pa.bool_()),
        ("model_version", pa.int32()),
    ]


def test_all_three_kinds_of_result_read_alike(results):
    """CSV holds what Parquet holds, and a folder what a file does."""
    tables = [read_predictions(output, "2026-11-23").replace_schema_metadata() for output in [*FILES, "out"]]
    assert tables[0] == tables[1] == tables[2]


@pytest.mark.parametrize("output", FILES)
def test_a_file_may_be_asked_for_its_date(results, output):
    assert read_predictions(output, "2026-11-23").num_rows == 3
    with pytest.raises(InputNotFoundError, match=f"no predictions for 2026-11-22 in {output}: they are for 2026-11-23"):
        read_predictions(output, "2026-11-22")


def test_a_folder_must_be_asked_for_a_date(results):
    with pytest.raises(UsageError, match="out is a folder of dates; which one"):
        read_predictions("out")


@pytest.mark.parametrize("output", FILES)
@pytest.mark.parametrize("missing", ["{}", "{}.run.json"])
def test_a_file_without_its_report_is_no_result(results, output, missing):
    """So a run leaves it that was killed while it was publishing."""
    (results / missing.format(output)).unlink()
    with pytest.raises(InputNotFoundError, match=f"no predictions at {output}: {missing.format(output)} is not there"):
        read_predictions(output)


@pytest.mark.parametrize("output", FILES)
def test_a_file_of_another_size_than_its_report_tells_is_refused(results, output):
    arrow_csv.write_csv(titles_table(50), "other.csv")
    score(VERSION, "other.csv", f"other/{output}")
    shutil.copy(results / "other" / output, output)
    with pytest.raises(
        InputError, match=rf"{output} is not the file that {output}\.run\.json tells of: it has [\d,]+ b"
    ):
        read_predictions(output)


def test_a_parquet_file_of_another_run_is_refused_by_its_run_id_where_sizes_agree(results):
    report = json.loads(Path("out.parquet.run.json").read_bytes())
    Path("out.parquet.run.json").write_text(json.dumps({**report, "run_id": "f" * 64}))
    with pytest.raises(InputError, match=rf"it has run {report['run_id'][:8]}, expected ffffffff"):
        read_predictions("out.parquet")


@pytest.mark.parametrize("output", FILES)
def test_columns_named_like_partitions_are_not_taken_from_the_path(results, output):
    score(VERSION, "in.csv", f"run_date=2026-01-01/{output}")
    assert read_predictions(output).column_names == read_predictions(f"run_date=2026-01-01/{output}").column_names


def make_result(folder, suffix, rows):
    """A result with its report, ready to be published: the rows and the date tell which of two runs it is."""
    made = folder / f"result{suffix}"
    version = pa.array([rows] * rows, pa.int32())
    table = pa.table({"predicted_earnings": [1.5] * rows, "outside_training_range": [False] * rows})
    table = table.append_column("model_version", version)
    if suffix == ".csv":
        arrow_csv.write_csv(table, made)
    else:
        parquet.write_table(table.replace_schema_metadata({"gamesales.run_id": f"{rows:064}"}), made)
    report = {
        "run_id": f"{rows:064}",
        "run_date": f"2026-01-{rows:02}",
        "files": [{"name": made.name, "size": made.stat().st_size}],
    }
    (folder / "run.json").write_text(json.dumps(report))
    return made, folder / "run.json"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_result_that_is_replaced_after_its_report_was_read_is_read_again(tmp_path, monkeypatch, suffix):
    """Another run is published just when the reader knows the report of the first."""
    place, report = tmp_path / f"out{suffix}", tmp_path / f"out{suffix}.run.json"
    rejects = (None, tmp_path / f"out{suffix}.rejects.csv")

    def publish(rows):
        made, told = make_result(tmp_path, suffix, rows)
        publish_file(made, place, rejects, (told, report))

    understand, left = json.loads, [11]

    def meanwhile(content):
        if left:
            publish(left.pop())
        return understand(content)

    publish(7)
    monkeypatch.setattr(reading.json, "loads", meanwhile)
    assert read_predictions(place, "2026-01-11").num_rows == 11
    assert left == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_reader_who_looks_all_along_never_takes_one_runs_file_for_anothers(tmp_path, suffix):
    """Two runs take turns as fast as they can; each look by date finds that date's rows, or that it is not there.

    No look may fit between two turns, so the last to be published stays until one has found it.
    """
    place, report = tmp_path / f"out{suffix}", tmp_path / f"out{suffix}.run.json"
    rejects = (None, tmp_path / f"out{suffix}.rejects.csv")
    over, seen = threading.Event(), Counter()

    def look():
        while not over.is_set():
            try:
                seen[set(read_predictions(place, "2026-01-07").column("model_version").to_pylist()).pop()] += 1
            except InputNotFoundError:
                seen["another"] += 1
            except Exception as error:
                seen[repr(error)] += 1

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(150):
        made, told = make_result(tmp_path, suffix, (11, 7)[turn % 2])
        publish_file(made, place, rejects, (told, report))
    patience = time.monotonic() + 60
    while 7 not in seen and time.monotonic() < patience:
        time.sleep(0.01)
    over.set()
    for reader in readers:
        reader.join()
    assert {7} <= set(seen) <= {7, "another"}


def test_earnings_are_those_that_the_file_holds(results):
    assert read_predictions("out.csv").column("predicted_earnings").to_pylist() == earnings(results / "out.csv")
