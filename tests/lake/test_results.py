"""Reading a table: a date now or in an earlier version, and damage that is reported."""

from datetime import date, timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyarrow import parquet

from gamesales import read_predictions
from gamesales.errors import InputError, InputNotFoundError, UsageError
from gamesales.lake.location import TableLocation
from gamesales.lake.results import find_table_runs
from support.runs import DAY, score
from support.tables import numbered_version, score_table
from support.versions import titles_table

NEXT = DAY + timedelta(1)


@pytest.fixture
def source(tmp_path):
    """A file of titles in two row groups."""
    ids = [f"T{row:05d}" for row in range(100)]
    path = tmp_path / "a.parquet"
    parquet.write_table(titles_table(100, title_id=ids, region=pa.array(["eu"] * 100).dictionary_encode()), path)
    return path


@pytest.fixture
def table(tmp_path, source):
    """A table with a run of version 1."""
    score_table(numbered_version(1), source, tmp_path / "table")
    return tmp_path / "table"


def part_of(table):
    (part,) = table.glob("run_date=*/*.parquet")
    return part


def test_rows_are_those_of_a_folder(tmp_path, source, table):
    """A date of a table has the rows of a folder, in the same order; columns that the version lacks are null."""
    score(numbered_version(1), source, tmp_path / "folder")
    expected = read_predictions(tmp_path / "folder", DAY)
    result = read_predictions(table, DAY)
    assert (
        expected.drop_columns(["region"]).to_pydict()
        == result.select(expected.drop_columns(["region"]).column_names).to_pydict()
    )
    assert {"eu"} == set(result.column("region").to_pylist())
    assert "run_date" not in result.column_names
    assert [None] * 100 == result.column("predicted_earnings_low").to_pylist()


def test_url_of_a_folder(table):
    """A table on a disk may be named by a URL."""
    assert 100 == read_predictions(f"file://{table}", str(DAY)).num_rows


def test_earlier_version(source, table):
    """A version of the table tells what was served then."""
    score_table(numbered_version(2), source, table)
    assert {2} == set(read_predictions(table, DAY).column("model_version").to_pylist())
    assert {1} == set(read_predictions(table, DAY, version=1).column("model_version").to_pylist())
    with pytest.raises(InputNotFoundError, match=f"no predictions for {DAY} in .* in version 0"):
        read_predictions(table, DAY, version=0)
    with pytest.raises(InputNotFoundError, match=r"has no version 7; its log has versions 0 to 2$") as missing:
        read_predictions(table, DAY, version=7)
    assert "Read the newest version: version=2" == missing.value.hint


def test_date_without_run(table):
    """A date that no run published, and a table that does not exist, are reported."""
    with pytest.raises(InputNotFoundError, match=f"no predictions for {NEXT} in"):
        read_predictions(table, NEXT)
    with pytest.raises(InputNotFoundError, match="no table at"):
        read_predictions(f"file://{table}x", DAY)


def test_date_is_required(tmp_path, table):
    """A table needs a date, and only a table has versions."""
    with pytest.raises(UsageError, match="is a table of dates; expected a date"):
        read_predictions(table)
    with pytest.raises(UsageError, match="is not a Delta table; expected no version"):
        read_predictions(tmp_path / "folder", DAY, version=1)


def test_compacted_date(source, table):
    """Rows that another program compacted are those of the run."""
    expected = sorted(read_predictions(table, DAY).column("predicted_earnings").to_pylist())
    score_table(numbered_version(1), source, table, fresh=True)
    DeltaTable(str(table)).optimize.z_order(["title_id"])
    assert expected == sorted(read_predictions(table, DAY).column("predicted_earnings").to_pylist())


def test_deleted_rows_are_noticed(table):
    """Rows that another program deleted are noticed by the count of the run."""
    DeltaTable(str(table)).delete("title_id < 'T00010'")
    with pytest.raises(InputError, match=r"has 90 rows for .*, expected 100 as in the report of its run"):
        read_predictions(table, DAY)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda part: part.unlink(), "is missing; a vacuum may have removed it"),
        (lambda part: part.write_bytes(part.read_bytes()[:-1]), "expected .* bytes, found"),
        (lambda part: part.write_bytes(b"x" * part.stat().st_size), "is damaged"),
    ],
)
def test_damaged_part(table, damage, message):
    """A part that is missing or damaged is named."""
    damage(part_of(table))
    with pytest.raises(InputError, match=f"part-.*{message}"):
        read_predictions(table, DAY)


def test_damaged_part_is_replaced(source, table):
    """A run with --fresh writes new parts, so damage does not last."""
    part_of(table).write_bytes(b"x")
    score_table(numbered_version(1), source, table, fresh=True)
    assert 100 == read_predictions(table, DAY).num_rows


def test_runs_of_a_table(source, table):
    """The published runs of a table are listed by date, and can be read piece by piece."""
    score_table(numbered_version(2), source, table, day=NEXT)
    runs, skipped = find_table_runs(TableLocation(str(table)))
    assert ([(DAY, 1), (NEXT, 2)], []) == ([(run.day, run.version) for run in runs], skipped)
    assert [f"{table}/run_date={NEXT}", f"{2:064x}"] == [runs[1].path, runs[1].digest]
    rows = runs[0].scan(["title_id"], lambda pieces: sum(piece.num_rows for piece in pieces))
    assert 100 == rows


def test_replaced_run_is_read_whole(source, table):
    """A run that was listed is read from its version of the table, also if it is replaced meanwhile."""
    (run,), _ = find_table_runs(TableLocation(str(table)))
    score_table(numbered_version(2), source, table)
    (column,) = run.scan(["model_version"], lambda pieces: [piece.column(0).to_pylist() for piece in pieces])
    assert [1] * 100 == column


def test_table_without_runs(tmp_path):
    """A table without published runs has no predictions."""
    with pytest.raises(InputNotFoundError, match="no table at"):
        find_table_runs(TableLocation(str(tmp_path / "none")))


def test_rows_of_other_programs(table):
    """Dates that another program wrote are skipped with a reason. Rows without a date are skipped."""
    rows = DeltaTable(str(table)).to_pyarrow_table()
    rows = rows.set_column(rows.schema.get_field_index("run_date"), "run_date", pa.array([date(2020, 1, 1)] * 100))
    from deltalake import write_deltalake

    write_deltalake(str(table), rows, mode="append")
    undated = rows.set_column(rows.schema.get_field_index("run_date"), "run_date", pa.nulls(100, pa.date32()))
    write_deltalake(str(table), undated, mode="append")
    runs, (skipped,) = find_table_runs(TableLocation(str(table)))
    assert [DAY] == [run.day for run in runs]
    assert (f"{table}/run_date=2020-01-01", "no run of gamesales published it") == (skipped.place, skipped.reason)
