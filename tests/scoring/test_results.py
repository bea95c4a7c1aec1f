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
from gamesales.scoring.commit import publish_file
from gamesales.scoring.results import find_published_runs
from support.runs import GOOD_EARNS, csv_line, csv_text, earnings, score, simple_version
from support.versions import FEATURES, titles_table

VERSION = simple_version()
FILES = ["out.csv", "out.csv.gz", "out.parquet"]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Results as files and a folder. Their cells have commas, line breaks and ids such as 007."""
    monkeypatch.chdir(tmp_path)
    rows = [csv_line("007", '"of, two\nlines"'), csv_line("", '""'), csv_line("008", "1.50", unit_price="70")]
    Path("in.csv").write_text(csv_text(rows, [*FEATURES, "title_id", "title"]))
    for output in [*FILES, "out"]:
        score(VERSION, "in.csv", output)
    return tmp_path


@pytest.mark.parametrize("output", FILES)
def test_single_file_types(results, output):
    """A single file is read with its types; the text of a CSV is unchanged."""
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


def test_all_forms_agree(results):
    """A CSV, a compressed CSV, a Parquet file and a folder hold the same rows."""
    tables = [read_predictions(output, "2026-11-23").replace_schema_metadata() for output in [*FILES, "out"]]
    assert all(table == tables[0] for table in tables)


@pytest.mark.parametrize("output", ["out.parquet", "out"])
def test_results_of_earlier_releases(results, output):
    """Parts of earlier releases, whose floats are split by bytes, are read forever."""
    expected = read_predictions(output, "2026-11-23")
    part = Path(output) if output != "out" else next(Path("out/run_date=2026-11-23").glob("*.parquet"))
    floats = [field.name for field in expected.schema if field.type == pa.float64()]
    parquet.write_table(
        parquet.read_table(part, partitioning=None),
        part,
        compression="zstd",
        use_dictionary=[name for name in expected.column_names if name not in floats],
        column_encoding=dict.fromkeys(floats, "BYTE_STREAM_SPLIT"),
    )
    report = Path("out.parquet.run.json") if output != "out" else part.with_name("_run.json")
    document = json.loads(report.read_bytes())
    document["files"][0]["size"] = part.stat().st_size
    report.write_text(json.dumps(document))
    assert "BYTE_STREAM_SPLIT" in str(parquet.read_metadata(part).row_group(0).column(2).encodings)
    assert read_predictions(output, "2026-11-23") == expected
    if output == "out":
        (run,), _ = find_published_runs(Path(output))
        read = run.scan(["predicted_earnings"], lambda pieces: pa.concat_tables(pieces))
        assert read.column(0) == expected.column("predicted_earnings")


@pytest.mark.parametrize("output", FILES)
def test_file_with_date(results, output):
    """The date of a single file is checked if it is given."""
    assert read_predictions(output, "2026-11-23").num_rows == 3
    with pytest.raises(InputNotFoundError, match=f"no predictions for 2026-11-22 in {output}: they are for 2026-11-23"):
        read_predictions(output, "2026-11-22")


def test_folder_needs_date(results):
    """A folder of partitions needs a date."""
    with pytest.raises(UsageError, match="out is a folder of dates; expected a date"):
        read_predictions("out")


@pytest.mark.parametrize("output", FILES)
@pytest.mark.parametrize("missing", ["{}", "{}.run.json"])
def test_missing_report_is_no_result(results, output, missing):
    """A file without its report is no result, as after a kill while publishing."""
    (results / missing.format(output)).unlink()
    with pytest.raises(InputNotFoundError, match=f"no predictions at {output}: {missing.format(output)} is not there"):
        read_predictions(output)


@pytest.mark.parametrize("output", FILES)
def test_wrong_size_is_refused(results, output):
    """A file of another size than in its report is refused."""
    arrow_csv.write_csv(titles_table(50), "other.csv")
    score(VERSION, "other.csv", f"other/{output}")
    shutil.copy(results / "other" / output, output)
    with pytest.raises(
        InputError,
        match=rf"{output} is not the file that {output}\.run\.json describes: expected [\d,]+ bytes, found [\d,]+ b",
    ):
        read_predictions(output)


def test_wrong_run_id_is_refused(results):
    """A Parquet file of the same size from another run is refused by its run id."""
    report = json.loads(Path("out.parquet.run.json").read_bytes())
    Path("out.parquet.run.json").write_text(json.dumps({**report, "run_id": "f" * 64}))
    with pytest.raises(InputError, match=rf"expected run ffffffff, found run {report['run_id'][:8]}"):
        read_predictions("out.parquet")


@pytest.mark.parametrize("output", FILES)
def test_path_adds_no_columns(results, output):
    """A folder such as run_date=2026-01-01 in the path of a file adds no column."""
    score(VERSION, "in.csv", f"run_date=2026-01-01/{output}")
    assert read_predictions(output).column_names == read_predictions(f"run_date=2026-01-01/{output}").column_names


def make_result(folder, suffix, rows):
    """A staged result with its report; the number of rows and the date identify the run."""
    staged = folder / f"result{suffix}"
    version = pa.array([rows] * rows, pa.int32())
    table = pa.table({"predicted_earnings": [1.5] * rows, "outside_training_range": [False] * rows})
    table = table.append_column("model_version", version)
    if suffix == ".csv":
        arrow_csv.write_csv(table, staged)
    else:
        parquet.write_table(table.replace_schema_metadata({"gamesales.run_id": f"{rows:064}"}), staged)
    report = {
        "run_id": f"{rows:064}",
        "run_date": f"2026-01-{rows:02}",
        "files": [{"name": staged.name, "size": staged.stat().st_size}],
    }
    (folder / "run.json").write_text(json.dumps(report))
    return staged, folder / "run.json"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_replaced_result_is_read_again(tmp_path, monkeypatch, suffix):
    """A result that is replaced just after its report was read is read again."""
    visible, report = tmp_path / f"out{suffix}", tmp_path / f"out{suffix}.run.json"
    rejects = (None, tmp_path / f"out{suffix}.rejects.csv")

    def publish(rows):
        staged, staged_report = make_result(tmp_path, suffix, rows)
        publish_file(staged, visible, rejects, (staged_report, report), lambda: None)

    loads, pending = json.loads, [11]

    def publish_once(content):
        if pending:
            publish(pending.pop())
        return loads(content)

    publish(7)
    monkeypatch.setattr(json, "loads", publish_once)
    assert read_predictions(visible, "2026-01-11").num_rows == 11
    assert pending == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_reader_sees_one_run(tmp_path, suffix):
    """Two runs take turns. Each read by date finds the rows of that date, or none."""
    visible, report = tmp_path / f"out{suffix}", tmp_path / f"out{suffix}.run.json"
    rejects = (None, tmp_path / f"out{suffix}.rejects.csv")
    stopped, seen = threading.Event(), Counter()

    def read():
        while not stopped.is_set():
            try:
                seen[set(read_predictions(visible, "2026-01-07").column("model_version").to_pylist()).pop()] += 1
            except InputNotFoundError:
                seen["another"] += 1
            except Exception as error:
                seen[repr(error)] += 1

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(150):
        staged, staged_report = make_result(tmp_path, suffix, (11, 7)[turn % 2])
        publish_file(staged, visible, rejects, (staged_report, report), lambda: None)
    deadline = time.monotonic() + 60
    while 7 not in seen and time.monotonic() < deadline:
        time.sleep(0.01)
    stopped.set()
    for reader in readers:
        reader.join()
    assert {7} <= set(seen) <= {7, "another"}


def test_predictions_equal_file(results):
    """The predictions are the numbers in the file."""
    assert read_predictions("out.csv").column("predicted_earnings").to_pylist() == earnings(results / "out.csv")
