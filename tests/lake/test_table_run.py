"""Runs into a Delta table: the same rows and bytes as a folder, at any number of workers, and after interruptions."""

import json
import pickle
import re
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyarrow import parquet

from gamesales.data.screen import RejectLimit
from gamesales.errors import ColumnsError, InputError, TooManyOutsideError, TooManyRejectsError, UsageError
from gamesales.lake.location import TableLocation
from gamesales.lake.table_run import TableOutput
from gamesales.scoring import shard_bounds
from gamesales.scoring.engines.local import run_shards
from gamesales.storage.stored_object import StoredObject
from support.runs import DAY, put_column, read_csv, score, simple_version, snapshot, write_mixed
from support.tables import list_dates, plan_table_run, read_rows, score_table, stop_after
from support.versions import titles_table


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 1_000)


@pytest.fixture
def mixed(tmp_path):
    """A folder with inputs of several kinds, which make several shards."""
    write_mixed(tmp_path / "in", 8_000)
    return tmp_path / "in"


def write_titles(path, rows=100, seed=1, **extra):
    """Write titles with ids to a Parquet file."""
    ids = pa.array([f"T{row:05d}" for row in range(rows)])
    parquet.write_table(titles_table(rows, seed=seed, **({"title_id": ids} | extra)), path)
    return path


def parts_of(folder):
    """Return the bytes of the parts of the date, in order."""
    return [path.read_bytes() for path in sorted((folder / f"run_date={DAY}").glob("*.parquet"))]


def comparable(rows):
    """Return rows in an order of their own, without the columns that only a table has."""
    names = ("run_date", "predicted_earnings_low", "predicted_earnings_high", "unfamiliar")
    return sorted(str({name: value for name, value in row.items() if name not in names}) for row in rows)


def in_another_process(tasks, scorer, finish, workers, on_rows):
    """Run shards as an engine of many machines does: tasks, scorer and results are pickled."""
    for task in tasks:
        copied = pickle.loads(pickle.dumps(scorer))
        result = copied.score(pickle.loads(pickle.dumps(task)), on_rows)
        yield task.shard.number, pickle.loads(pickle.dumps(result))


@pytest.mark.parametrize("engine", [run_shards, in_another_process])
@pytest.mark.parametrize("workers", [1, 8])
def test_parts_equal_folder(tmp_path, mixed, workers, engine):
    """A table has the parts of a folder, byte for byte, whatever engine scores them; and deltalake reads their rows."""
    version, limit = simple_version(), RejectLimit(share=0.5)
    folder = score(version, mixed, tmp_path / "folder", limit=limit)
    report = score_table(version, mixed, tmp_path / "table", limit=limit, workers=workers, engine=engine)
    assert parts_of(tmp_path / "folder") == parts_of(tmp_path / "table")
    assert 4 < len(report.files) == len(folder.files)
    assert (folder.run_id, folder.rows_scored, folder.rows_rejected) == (
        report.run_id,
        report.rows_scored,
        report.rows_rejected,
    )
    expected = [
        row for part in parts_of(tmp_path / "folder") for row in parquet.read_table(pa.BufferReader(part)).to_pylist()
    ]
    assert comparable(expected) == comparable(read_rows(tmp_path / "table"))
    rejects = sorted((tmp_path / "table").glob("_gamesales/*/*/rejects/*.csv"))
    assert [read_csv(path) for path in sorted((tmp_path / "folder").glob("*/_rejects/*"))] == [
        read_csv(path) for path in rejects
    ]


def test_run_replaces_its_date(tmp_path):
    """A later run replaces the rows of its date in one version of the table; earlier versions and dates stay."""
    table, other_day = tmp_path / "table", date(2026, 11, 24)
    first, second = write_titles(tmp_path / "a.parquet", 10), write_titles(tmp_path / "b.parquet", 20, seed=2)
    score_table(simple_version(), first, table)
    before = read_rows(table)
    score_table(simple_version(), first, table, day=other_day)
    score_table(simple_version(bias=1.0, number=2), second, table)
    assert [2] * 20 == [row["model_version"] for row in read_rows(table)]
    assert 10 == len(read_rows(table, other_day))
    assert before == read_rows(table, version=2)
    assert [DAY, other_day] == list_dates(table)
    assert 3 == DeltaTable(str(table)).version()


def test_same_run_is_already_done(tmp_path):
    """The same run again writes nothing; with --fresh it scores again and publishes a new report."""
    table, source = tmp_path / "table", write_titles(tmp_path / "a.parquet")
    assert not score_table(simple_version(), source, table).already_done
    files = snapshot(table)
    assert score_table(simple_version(), source, table).already_done
    assert files == snapshot(table)
    fresh = score_table(simple_version(), source, table, fresh=True)
    assert not fresh.already_done
    assert [f"part-{fresh.run_id[:8]}-1-00000.parquet"] == [file.name for file in fresh.files]
    assert 100 == len(read_rows(table))
    assert score_table(simple_version(), source, table).already_done


def test_interrupted_run_goes_on(tmp_path, mixed):
    """A run that was interrupted goes on from its ledger, and the parts are those of a run without interruption."""
    version, limit = simple_version(), RejectLimit(share=0.5)
    with pytest.raises(KeyboardInterrupt):
        score_table(version, mixed, tmp_path / "table", limit=limit, engine=stop_after(3))
    assert [] == list_dates(tmp_path / "table")
    report = score_table(version, mixed, tmp_path / "table", limit=limit)
    assert 3 <= report.shards_resumed < report.shards  # a busy worker may finish one more
    score_table(version, mixed, tmp_path / "whole", limit=limit)
    assert parts_of(tmp_path / "whole") == parts_of(tmp_path / "table")
    assert comparable(read_rows(tmp_path / "whole")) == comparable(read_rows(tmp_path / "table"))


def test_lost_part_is_scored_again(tmp_path, mixed):
    """A shard whose part was removed is scored again."""
    version, limit = simple_version(), RejectLimit(share=0.5)
    with pytest.raises(KeyboardInterrupt):
        score_table(version, mixed, tmp_path / "table", limit=limit, engine=stop_after(3))
    min((tmp_path / "table").glob("run_date=*/*.parquet")).unlink()
    report = score_table(version, mixed, tmp_path / "table", limit=limit)
    assert 2 == report.shards_resumed
    assert report.rows_scored == len(read_rows(tmp_path / "table"))


def test_lost_part_of_a_published_run(tmp_path):
    """If a part of the published run was removed, the same run is not already done: it restores the part."""
    table, source = tmp_path / "table", write_titles(tmp_path / "a.parquet")
    score_table(simple_version(), source, table)
    (part,) = table.glob("run_date=*/*.parquet")
    content = part.read_bytes()
    part.unlink()
    assert not score_table(simple_version(), source, table).already_done
    assert content == part.read_bytes()
    assert 100 == len(read_rows(table))
    assert score_table(simple_version(), source, table).already_done


def test_symbolic_link_in_the_table(tmp_path):
    """A symbolic link in the folder of the table is refused, because it may lead out of the table."""
    (tmp_path / "table").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "table/_gamesales").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is a symbolic link; a table holds plain files only"):
        score_table(simple_version(), write_titles(tmp_path / "a.parquet"), tmp_path / "table")


def test_part_of_another_cpu(tmp_path):
    """A part with other bytes, as of a machine that rounds differently, is left alone; the run writes another."""
    table, source = tmp_path / "table", write_titles(tmp_path / "a.parquet")
    plan, _ = plan_table_run(simple_version(), source, table)
    planted = table / f"run_date={DAY}/part-{plan.run_id[:8]}-00000.parquet"
    score_table(simple_version(), source, table, day=date(2026, 1, 1))
    planted.parent.mkdir()
    planted.write_bytes(b"other bytes")
    report = score_table(simple_version(), source, table)
    assert b"other bytes" == planted.read_bytes()
    assert report.files[0].name.startswith(f"part-{plan.run_id[:8]}-00000-")
    assert 100 == len(read_rows(table))


def test_too_many_rejects(tmp_path, mixed):
    """Too many rejects publish nothing, and the message says where the rejects are."""
    with pytest.raises(TooManyRejectsError, match="nothing was published") as refused:
        score_table(simple_version(), mixed, tmp_path / "table", limit=RejectLimit.parse("5"))
    folder = refused.value.hint.split(": ")[1].removesuffix(". To allow more")
    assert 5 < sum(len(path.read_text().splitlines()) - 1 for path in (tmp_path / "table").glob("_gamesales/**/*.csv"))
    assert folder.startswith(f"{tmp_path}/table/_gamesales/run_date={DAY}/")
    assert [] == list_dates(tmp_path / "table")


def test_rejects_of_a_stopped_shard(tmp_path):
    """A shard that stopped, because it rejects too many rows, leaves nothing beside the rejects of a later run."""
    table, source = tmp_path / "table", tmp_path / "a.parquet"
    flags = pa.array([9.0, 1.0] * 40_000)
    parquet.write_table(put_column(titles_table(80_000), "is_action", flags), source)
    with pytest.raises(TooManyRejectsError) as refused:
        score_table(simple_version(), source, table, limit=RejectLimit.parse("5"))
    (stopped,) = table.glob("_gamesales/*/*/refused/*.csv")
    assert str(stopped.parents[1]) in refused.value.hint
    assert len(read_csv(stopped)) < 40_000
    report = score_table(simple_version(), source, table, limit=RejectLimit(share=0.6))
    rejects = table.glob("_gamesales/*/*/rejects/*.csv")
    assert 40_000 == report.rows_rejected == sum(len(read_csv(path)) for path in rejects)


def test_run_without_rows(tmp_path):
    """A run without rows is published too: it removes the rows of its date, and it is already done afterwards."""
    table, full, empty = tmp_path / "table", tmp_path / "full.parquet", tmp_path / "empty.parquet"
    score_table(simple_version(), write_titles(full), table)
    score_table(simple_version(), write_titles(empty, 0), table)
    assert [] == read_rows(table)
    assert score_table(simple_version(), empty, table).already_done


def test_duplicate_ids_of_shards(tmp_path):
    """Ids that repeat in another shard are counted; with --unique-ids they stop the run."""
    ids = pa.array([f"T{row % 2_500:05d}" for row in range(3_000)][::-1])
    source = write_titles(tmp_path / "a.parquet", 3_000, title_id=ids)
    parquet.write_table(parquet.read_table(source), source, row_group_size=500)
    with pytest.raises(InputError, match="expected unique ids, found duplicate ids: 500"):
        score_table(simple_version(), source, tmp_path / "table", unique_ids=True)
    assert [] == list_dates(tmp_path / "table")
    report = score_table(simple_version(), source, tmp_path / "table")
    assert report.shards > 1
    assert (500, 500) == (report.duplicate_ids.ids, report.duplicate_ids.rows)


def test_too_many_outside(tmp_path):
    """A share of titles outside the training range that is not allowed publishes nothing."""
    source = write_titles(tmp_path / "a.parquet", unit_price=pa.array([999.0] * 100))
    with pytest.raises(TooManyOutsideError):
        score_table(simple_version(), source, tmp_path / "table", max_outside=0.5)
    assert [] == list_dates(tmp_path / "table")


def test_stricter_limit_is_checked(tmp_path):
    """A published run that a stricter limit refuses is not already done."""
    source = write_titles(tmp_path / "a.parquet", unit_price=pa.array([999.0] * 100))
    score_table(simple_version(), source, tmp_path / "table")
    with pytest.raises(TooManyOutsideError):
        score_table(simple_version(), source, tmp_path / "table", max_outside=0.5)
    assert 100 == len(read_rows(tmp_path / "table"))


def test_report_is_in_the_table(tmp_path):
    """The report of a run is the document of a folder run, with the table as its output."""
    report = score_table(simple_version(), write_titles(tmp_path / "a.parquet"), tmp_path / "table")
    path = tmp_path / "table" / f"_gamesales/run_date={DAY}/{report.run_id[:8]}/_run.json"
    document = json.loads(path.read_bytes())
    assert (str(tmp_path / "table"), 100) == (document["output"], document["rows_scored"])
    (entry,) = DeltaTable(str(tmp_path / "table")).history(1)
    assert report.run_id == entry["gamesales.run_id"]


def test_input_in_table_is_refused(tmp_path):
    """An input in the folder of the table is refused."""
    (tmp_path / "table").mkdir()
    source = write_titles(tmp_path / "table/a.parquet")
    with pytest.raises(UsageError, match="is in the table"):
        score_table(simple_version(), source, tmp_path / "table")


def test_object_in_table_is_refused():
    """An input in a table in an object store is refused, and an input beside the table is not."""
    output = TableOutput(TableLocation("s3://bucket/table"), DAY)
    output.check([StoredObject("s3://bucket/table2/a.parquet", 1, "e")], pa.schema([]))
    with pytest.raises(UsageError, match=r"^s3://bucket/table/x=1/a.parquet is in the table s3://bucket/table$"):
        output.check([StoredObject("s3://bucket/table/x=1/a.parquet", 1, "e")], pa.schema([]))


def test_folder_of_results_is_refused(tmp_path):
    """A folder of dated partitions does not become a table, and a table does not become such a folder."""
    source = write_titles(tmp_path / "a.parquet")
    score(simple_version(), source, tmp_path / "folder")
    with pytest.raises(UsageError, match="has results of another kind"):
        score_table(simple_version(), source, tmp_path / "folder")
    score_table(simple_version(), source, tmp_path / "table")
    with pytest.raises(UsageError, match="is a Delta table") as refused:
        score(simple_version(), source, tmp_path / "table")
    assert "--format delta" in refused.value.hint


def test_path_without_a_folder(tmp_path, monkeypatch):
    """A table can't be at a file, below a file, or at a link to a folder that does not exist."""
    monkeypatch.chdir(tmp_path)
    source = write_titles(tmp_path / "a.parquet")
    Path("link").symlink_to("nowhere")
    for table, message in {
        "a.parquet": "--output a.parquet is a file; expected a folder",
        "a.parquet/T": "--output a.parquet/T: a.parquet is a file; expected a folder",
        "link": "--output link is a link to nowhere, which does not exist; expected a folder",
        "link/T": "--output link/T: link is a link to nowhere, which does not exist; expected a folder",
    }.items():
        with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
            score_table(simple_version(), source, table)
    Path("nowhere").mkdir()
    score_table(simple_version(), source, "link")
    assert 100 == len(read_rows(tmp_path / "nowhere"))


def test_changed_type_is_refused_early(tmp_path):
    """A column with another type than in the table is refused before anything is written."""
    table = tmp_path / "table"
    score_table(simple_version(), write_titles(tmp_path / "a.parquet", region=["eu"] * 100), table)
    files = snapshot(table)
    with pytest.raises(ColumnsError, match="region: expected type string, as in the table, found int64"):
        score_table(simple_version(), write_titles(tmp_path / "b.parquet", region=[1] * 100), table)
    assert files == snapshot(table)
