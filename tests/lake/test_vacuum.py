"""What a vacuum finds while other processes write, and which files it removes later."""

import json
import time

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyarrow import parquet

from gamesales.lake.keys import RunKeys, RunName, is_start, parse_run, start_attempt, withheld_folder
from gamesales.lake.location import TableLocation
from gamesales.lake.vacuum import find_garbage, read_retained_versions
from support.runs import DAY, simple_version
from support.tables import score_table
from support.versions import titles_table

RUN_ID = "0123456789abcdef" * 4


@pytest.fixture
def location(tmp_path):
    return TableLocation(str(tmp_path / "table"))


def run(location, seed):
    """Score titles into the date, and return the files of the table."""
    source = location.folder.parent / f"{seed}.parquet"
    ids = pa.array([f"T{row}" for row in range(50)])
    parquet.write_table(titles_table(50, seed=seed, title_id=ids), source)
    score_table(simple_version(), source, str(location))
    return location.open_store().list_files("")


def find_all_old(location, files):
    """Find the garbage as if everything was written long ago."""
    cutoff, store = time.time() + 60, location.open_store()
    return find_garbage(files, read_retained_versions(location, location.open_table(), store, files, cutoff), cutoff)


def test_run_after_the_listing(location):
    """Of a run that is published after the files were listed, and of the run that it replaces, all rows stay."""
    first = run(location, 1)
    files = run(location, 2)
    garbage = find_all_old(location, first)
    assert [] == [key for key in garbage if key.endswith((".parquet", "_run.json", "start.json"))]
    assert [key for key in first if key.endswith(".parquet")] == [
        key for key in find_all_old(location, files) if key.endswith(".parquet")
    ]


def test_rows_without_a_date(location):
    """Rows without a date, which another program wrote, stay."""
    run(location, 1)
    schema = pa.schema(location.open_table().schema().to_arrow())
    undated_rows = pa.table([pa.nulls(2, column.type) for column in schema], schema=schema)
    write_deltalake(location.uri, undated_rows, mode="append")
    files = run(location, 2)
    (undated,) = (key for key in files if "run_date=__HIVE" in key)
    assert undated not in find_all_old(location, files)


def test_start_stays_longer(location):
    """The start of a run is removed by the vacuum after the vacuum that removed its other files."""
    run(location, 1)
    files = run(location, 2)
    garbage = find_all_old(location, files)
    assert [] == [key for key in garbage if is_start(key)]
    (start,) = find_all_old(location, {key: file for key, file in files.items() if key not in garbage})
    assert is_start(start)
    assert parse_run(start) in set(map(parse_run, garbage))


def test_two_vacuums_and_the_same_run(location):
    """A run that starts again while two vacuums remove its files loses no file."""
    run(location, 1)
    store, expired = location.open_store(), RunKeys(DAY, RUN_ID)
    for key in (expired.start, expired.part_of(0), expired.entry_of(0)):
        store.create(key, json.dumps({"run_id": RUN_ID, "time": "2020-01-01T00:00:00+00:00"}).encode())
    first, second = (find_all_old(location, store.list_files("")) for _ in range(2))
    assert expired.part_of(0) in first
    for key in first:
        store.delete(key)
    keys, is_resumed = start_attempt(store, DAY, RUN_ID, fresh=False)
    assert (1, False) == (keys.attempt, is_resumed)
    assert store.create(keys.part_of(0), b"rows")
    for key in second:
        store.delete(key)
    assert b"rows" == store.read(keys.part_of(0))


def test_killed_vacuum_is_continued(location):
    """Wherever a vacuum was killed, the next vacuum finds exactly the rest."""
    run(location, 1)
    files, cutoff = run(location, 2), time.time() + 60
    retained = read_retained_versions(location, location.open_table(), location.open_store(), files, cutoff)
    garbage = find_garbage(files, retained, cutoff)
    for done in range(len(garbage) + 1):
        rest = {key: file for key, file in files.items() if key not in garbage[:done]}
        left = find_garbage(rest, retained, cutoff)
        assert garbage[done:] == [key for key in left if not is_start(key)]


@pytest.mark.parametrize("attempt", [0, 1, 12])
def test_keys_name_their_run(attempt):
    """All keys of a run name its date and the begin of its id, also those of later attempts and of other bytes."""
    keys = RunKeys(DAY, RUN_ID, attempt)
    names = [keys.start, keys.part_of(3), keys.part_of(100_000), keys.rejects_of(3), keys.ids_of(3), keys.entry_of(3)]
    names += [keys.part_of(3).replace(".parquet", f"-{digest}.parquet") for digest in ("0" * 16, "ab" * 8)]
    names.append(f"{withheld_folder(DAY)}/20261123T020000.000000Z-01234567-{'0' * 8}.json")
    assert {RunName(str(DAY), "01234567")} == {parse_run(name) for name in names}


@pytest.mark.parametrize("name", ["part-00000-1b2c-c000.snappy.parquet", "_SUCCESS", "part-01234567.parquet"])
def test_other_keys_name_no_run(name):
    """Files of other programs are of no run."""
    assert parse_run(f"run_date={DAY}/{name}") is None
