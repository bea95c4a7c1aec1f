"""A run that is killed at any system call that changes the disk, and a concurrent reader."""

import json
import re
import shutil
import sys
import threading

import pytest
from pyarrow import parquet

from gamesales import read_predictions
from gamesales.errors import InputNotFoundError
from support.runs import csv_line, csv_text, gamesales, halted, snapshot, wait_until
from support.sampling import sample
from support.tracing import needs_strace, sample_kills, traced
from support.versions import FEATURES, publish_simple, title_values

DATE = ["--date", "2026-11-23"]
DATE_FOLDER = "out/run_date=2026-11-23"
# System calls that make, rename, remove or sync files.
CALLS = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"


@pytest.fixture
def night(tmp_path, simple_registry):
    """Yesterday's results by version 1, as a folder and files, and an input for version 2."""
    old = [csv_line(f"T{row}") for row in range(5)]
    new = [csv_line(f"T{row}", unit_price=str(row + 31)) for row in range(20)]
    new[7] = csv_line("T7", unit_price="free")
    for name, rows in (("old.csv", old), ("new.csv", new)):
        (tmp_path / name).write_text(csv_text(rows, [*FEATURES, "title_id"]))
    for output in ("out", "out.csv", "out.parquet"):
        assert gamesales(tmp_path, "score", "old.csv", "--output", output, *DATE).returncode == 0
    number = publish_simple(simple_registry, bias=100.0)
    simple_registry.set_alias("champion", number, "", lambda state, version: {"findings": [], "forced": False})
    return tmp_path


# A command line whose random names are the same in each run, so that a kill can be aimed at a path.
MAIN = """
import itertools, secrets
numbers = itertools.count()
secrets.token_hex = lambda size: next(numbers).to_bytes(size, "little").hex()
from gamesales.cli.main import run_and_exit
run_and_exit()
"""


def score_traced(folder, output, kill=None):
    """Score under strace, killed just before ``kill`` if it is set; return the exit code and the calls.

    Renewals of the lease are not among the calls: they depend on the time.
    """
    command = [sys.executable, "-c", MAIN, "score", "new.csv", "--output", output, "--workers", "1", *DATE]
    ran, calls = traced(command, folder / "trace", kill, CALLS, folder, at_path=True)
    return ran.returncode, [call for call in calls if not (call.name == "fsync" and "/lease-" in call.text)]


def is_visible(call):
    """Return whether a call renames or removes a file of the visible result."""
    return call.name in {"rename", "renameat2", "unlink"} and ".work/" not in call.paths[-1]


def replace_files(folder, source):
    """Replace everything in a folder, which stays the folder of this process, with copies."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)


def read_published(folder, output):
    """The files of a result without its report, which has times; None without a complete result."""
    if output == "out":
        files = {name: data for name, data in snapshot(folder / DATE_FOLDER).items() if name != "_run.json"}
        return files if "_SUCCESS" in files else None
    rejects = folder / f"{output}.rejects.csv"
    return (folder / output).read_bytes(), rejects.read_bytes() if rejects.exists() else None


def count_rows_read(path):
    """The number of rows of a single file, as a set; None without a complete result."""
    try:
        return {read_predictions(path).num_rows}
    except InputNotFoundError:
        return None


def count_all_rows(folder):
    """The rows that a reader of ``**/*.parquet`` finds, also in hidden folders, as DuckDB and Polars do."""
    return sum(parquet.read_metadata(path).num_rows for path in folder.rglob("*.parquet"))


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("output", ["out", "out.csv", "out.parquet"])
def test_killed_at_any_call(night, tmp_path, cli, output):
    """A kill at any system call leaves the old or the new result. The next run ends with the same bytes."""
    old = read_published(night, output)
    untouched = tmp_path.with_name(f"{tmp_path.name}-untouched")
    shutil.copytree(night, untouched, symlinks=True)
    code, calls = score_traced(night, output)
    new = read_published(night, output)
    assert code == 0
    assert old != new
    assert len(calls) > 20
    for point in sample_kills(f"calls of a run to {output}", calls, is_visible, 6):
        replace_files(night, untouched)
        code, killed = score_traced(night, output, point)
        assert code == -9, point
        assert (point.name, point.path) == (killed[-1].name, killed[-1].path)
        result = read_published(night, output)
        if output == "out":
            assert result in (old, new), point
            assert count_all_rows(night / output) == (5 if result == old else 19), point
        else:  # three files, each replaced as a whole; the report is last
            assert result[0] in (old[0], new[0]), point
            assert count_rows_read(night / output) in ({5} if result == old else {19}, None), point
        again = cli("score", "new.csv", "--output", output, *DATE)
        assert (again.code, again.err) == (0, ""), point
        assert read_published(night, output) == new, point
        assert [path.name for path in night.rglob("*.work")] == [], point
    shutil.rmtree(untouched)


@pytest.mark.slow
@needs_strace
def test_fsync_precedes_rename(night):
    """A part is synced, then renamed. Everything is synced, then swapped. Then the folder is synced."""
    code, calls = score_traced(night, "out")
    assert code == 0
    lines = [f"{call.name}({call.text}" for call in calls]

    def first(pattern):
        return next(index for index, line in enumerate(lines) if re.search(pattern, line))

    def last(pattern):
        return max(index for index, line in enumerate(lines) if re.search(pattern, line))

    named = first(r'rename.*"[^"]*/\.part-\w+-00000\.parquet\.part", .*"[^"]*/part-\w+-00000\.parquet\.part"')
    visible = first(r'rename.*"[^"]*/part-\w+-00000\.parquet\.part", .*"[^"]*/part-\w+-00000\.parquet"')
    entered = first(r"rename.*ledger/00000\.tmp.*ledger/00000\.json")
    swapped = first(r"renameat2.*RENAME_EXCHANGE")
    assert first(r"fsync\(\d+<[^>]*/\.part-\w+-00000\.parquet\.part>") < named < entered < visible < swapped
    assert first(r"fsync\(\d+<[^>]*/made/_run\.json>") < swapped
    assert first(r"fsync\(\d+<[^>]*/made>\)") < swapped < last(r"fsync\(\d+<[^>]*/out>\)")


@pytest.mark.slow
def test_reader_sees_one_version(night):
    """Two versions take turns. Each read finds all rows of one of them."""
    over, seen = threading.Event(), []

    def look():
        while not over.is_set():
            table = read_predictions(night / "out", "2026-11-23")
            versions = set(table.column("model_version").to_pylist())
            seen.append((table.num_rows, tuple(versions)))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for turn in range(6):
            source, version = ("new.csv", "2") if turn % 2 == 0 else ("old.csv", "1")
            ran = gamesales(night, "score", source, "--output", "out", *DATE, "--model", version)
            assert ran.returncode == 0
    finally:
        over.set()
        reader.join()
    assert set(seen) == {(5, (1,)), (19, (2,))}


@pytest.mark.slow
@pytest.mark.parametrize("output", ["out", "out.csv", "out.parquet"])
def test_killed_run_resumes(night, output):
    """A killed run resumes and ends with the same bytes. A reader sees old rows or new rows."""
    rows = [[*map(str, row), f"T{number}"] for number, row in enumerate(title_values(20_000).tolist())]
    rows[::500] = [csv_line("T", unit_price="free")] * 40  # rejects in each shard
    (night / "new.csv").write_text(csv_text(rows, [*FEATURES, "title_id"]))
    score = ("score", "new.csv", "--output", output, *DATE)
    seen, over = set(), threading.Event()

    def look():
        while not over.is_set():
            seen.add(read_predictions(night / "out", "2026-11-23").num_rows)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        assert gamesales(night, *score[:3], f"whole/{output}", *DATE, small_steps=True).returncode == 0
        early, late = sample(f"early {output}", range(4), 1), sample(f"late {output}", range(4, 10), 1)
        for tenth in [*early, *late]:
            assert gamesales(night, "score", "old.csv", *score[2:]).returncode == 0
            with halted(night, *score, after=3 * tenth) as process:
                if tenth >= 4:  # a shard is finished by now; it enters the ledger when it is on the disk
                    (work,) = night.rglob("*.work")
                    wait_until(lambda work=work: list(work.glob("run-*/ledger/*.json")))
                process.kill()
            assert process.returncode == -9
            ran = gamesales(night, *score, "--json", small_steps=True)
            assert ran.returncode == 0, ran.stderr
            done = json.loads(ran.stdout)
            assert not done["already_done"]
            assert (done["rows_scored"], done["rows_rejected"]) == (19_960, 40)
            assert tenth in early or 0 < done["shards_resumed"] < done["shards"]
            assert read_published(night, output) == read_published(night / "whole", output)
    finally:
        over.set()
        reader.join()
    assert seen <= {5, 19_960}


def test_missing_part_is_refused(night):
    """The predictions of a date are read completely or not at all."""
    table = read_predictions(night / "out", "2026-11-23")
    assert table.column_names[0] == "title_id"
    assert table.num_rows == 5
    with pytest.raises(InputNotFoundError, match="no predictions for 2026-11-22"):
        read_predictions(night / "out", "2026-11-22")
    report = json.loads((night / DATE_FOLDER / "_run.json").read_bytes())
    (night / DATE_FOLDER / report["files"][0]["name"]).unlink()
    with pytest.raises(InputNotFoundError):
        read_predictions(night / "out", "2026-11-23")
