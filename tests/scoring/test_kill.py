"""A run that is killed at any system call that changes the disk, and a reader who looks all along."""

import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gamesales import read_predictions
from gamesales.errors import InputNotFoundError
from support.runs import csv_line, csv_text, gamesales, halted, snapshot, wait_until
from support.tracing import needs_strace, traced
from support.versions import FEATURES, publish_simple, title_values

DATE = ["--date", "2026-11-23"]
PLACE = "out/run_date=2026-11-23"
# What makes, names, moves or removes files, and what makes them last.
CALLS = "fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"


@pytest.fixture
def night(tmp_path, simple_registry):
    """Yesterday's results by version 1 of both targets, and a night that version 2 is to score."""
    old = [csv_line(f"T{row}") for row in range(5)]
    new = [csv_line(f"T{row}", unit_price=str(row + 1)) for row in range(20)]
    new[7] = csv_line("T7", unit_price="free")
    for name, rows in (("old.csv", old), ("new.csv", new)):
        (tmp_path / name).write_text(csv_text(rows, [*FEATURES, "title_id"]))
    for output in ("out", "out.csv", "out.parquet"):
        assert gamesales(tmp_path, "score", "old.csv", "--output", output, *DATE).returncode == 0
    number = publish_simple(simple_registry, bias=100.0)
    simple_registry.set_alias("champion", number, "", lambda state, version: {"findings": [], "forced": False})
    return tmp_path


def score_traced(folder, output, kill=None):
    """Score the night under strace, killed just before a call if that is given; return the exit code and the calls."""
    command = [sys.executable, "-m", "gamesales", "score", "new.csv", "--output", output, "--workers", "1", *DATE]
    ran, calls = traced(command, folder / "trace", kill, CALLS, folder)
    return ran.returncode, calls


def published(folder, output):
    """A result's files without its report, which tells of times; None if there is no complete one."""
    if output == "out":
        files = {name: data for name, data in snapshot(folder / PLACE).items() if name != "_run.json"}
        return files if "_SUCCESS" in files else None
    rejects = folder / f"{output}.rejects.csv"
    return (folder / output).read_bytes(), rejects.read_bytes() if rejects.exists() else None


def rows_read(path):
    """How many rows a reader of a single file finds, as a set; None if there is no whole result."""
    try:
        return {read_predictions(path).num_rows}
    except InputNotFoundError:
        return None


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("output", ["out", "out.csv", "out.parquet"])
def test_killed_at_any_call_the_old_or_the_new_result_stands_and_the_next_run_ends_alike(night, tmp_path, output):
    old = published(night, output)
    untouched = tmp_path.with_name("untouched")
    shutil.copytree(night, untouched, symlinks=True)
    code, calls = score_traced(night, output)
    new = published(night, output)
    assert code == 0
    assert old != new
    places = {(call.name, call.number): call for call in calls}.values()
    assert len(places) > 20
    for place in places:
        shutil.rmtree(night)
        shutil.copytree(untouched, night, symlinks=True)
        code, calls = score_traced(night, output, place)
        assert code == -9, place
        assert (place.name, place.number) in {(call.name, call.number) for call in calls}
        found = published(night, output)
        if output == "out":
            assert found in (old, new), place
        else:  # three files, each replaced whole; the report comes last
            assert found[0] in (old[0], new[0]), place
            assert rows_read(night / output) in ({5} if found == old else {19}, None), place
        again = gamesales(night, "score", "new.csv", "--output", output, *DATE)
        assert (again.returncode, again.stderr) == (0, ""), place
        assert published(night, output) == new, place
        assert [path.name for path in night.rglob("*.work")] == [], place
    shutil.rmtree(untouched)


@pytest.mark.slow
@needs_strace
def test_files_are_on_the_disk_before_they_are_named(night):
    """As the trace has it: the part is synced, then named; all is synced, then swapped; then the folder is synced."""
    code, calls = score_traced(night, "out")
    assert code == 0
    lines = [f"{call.name}({call.text}" for call in calls]

    def first(pattern):
        return next(place for place, line in enumerate(lines) if re.search(pattern, line))

    def last(pattern):
        return max(place for place, line in enumerate(lines) if re.search(pattern, line))

    named = first(r'rename.*"[^"]*/\.part-\w+-00000\.parquet", .*"[^"]*/part-\w+-00000\.parquet"')
    entered = first(r"rename.*ledger/00000\.tmp.*ledger/00000\.json")
    swapped = first(r"renameat2.*RENAME_EXCHANGE")
    assert first(r"fsync\(\d+<[^>]*/\.part-\w+-00000\.parquet>") < named < entered < swapped
    assert first(r"fsync\(\d+<[^>]*/made/_run\.json>") < swapped
    assert first(r"fsync\(\d+<[^>]*/made>\)") < swapped < last(r"fsync\(\d+<[^>]*/out>\)")


def test_a_reader_who_looks_all_along_never_sees_a_mixture(night):
    """Runs by two versions take turns; every look finds all rows of one of them."""
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
def test_killed_at_any_tenth_it_goes_on_and_ends_with_the_same_bytes(night, output):
    """Really killed; and of a folder, a reader who looks all along sees the old rows or the new ones."""
    values = title_values(20_000).tolist()
    rows = "".join(",".join(map(str, row)) + f",T{at}\n" for at, row in enumerate(values))
    (night / "new.csv").write_text(",".join([*FEATURES, "title_id"]) + "\n" + rows)
    score = ("score", "new.csv", "--output", output, *DATE)
    seen, over = set(), threading.Event()

    def look():
        while not over.is_set():
            seen.add(read_predictions(night / "out", "2026-11-23").num_rows)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        assert gamesales(night, *score[:3], f"whole/{output}", *DATE, small_steps=True).returncode == 0
        for tenth in range(10):
            assert gamesales(night, "score", "old.csv", *score[2:]).returncode == 0
            with halted(night, *score, after=3 * tenth) as process:
                if tenth >= 4:  # by then a shard is done; it is entered when the disk has it
                    (work,) = night.rglob("*.work")
                    wait_until(lambda work=work: list(work.glob("ledger/*.json")))
                process.kill()
            assert process.returncode == -9
            ran = gamesales(night, *score, "--json", small_steps=True)
            assert ran.returncode == 0, ran.stderr
            done = json.loads(ran.stdout)
            assert not done["already_done"]
            assert done["shards_resumed"] > 0 or tenth < 4
            assert published(night, output) == published(night / "whole", output)
    finally:
        over.set()
        reader.join()
    assert seen <= {5, 20_000}


def test_predictions_of_a_date_are_read_whole_or_not_at_all(night):
    table = read_predictions(night / "out", "2026-11-23")
    assert table.column_names[0] == "title_id"
    assert table.num_rows == 5
    with pytest.raises(InputNotFoundError, match="no predictions for 2026-11-22"):
        read_predictions(night / "out", "2026-11-22")
    report = json.loads((night / PLACE / "_run.json").read_bytes())
    (night / PLACE / report["files"][0]["name"]).unlink()
    with pytest.raises(InputNotFoundError):
        read_predictions(night / "out", "2026-11-23")


def test_a_disk_that_is_full_is_told_and_yesterdays_result_stands(night):
    """As the system has it of a file that may not grow: the limit stands for the disk's."""
    values = "".join(",".join(map(str, row)) + f",T{at}\n" for at, row in enumerate(title_values(40_000).tolist()))
    (night / "new.csv").write_text(",".join([*FEATURES, "title_id"]) + "\n" + values)
    before = {output: published(night, output) for output in ("out", "out.csv", "out.parquet")}
    for output, was in before.items():
        command = f"ulimit -f 64; exec {sys.executable} -m gamesales score new.csv --output {output} {' '.join(DATE)}"
        ran = subprocess.run(["bash", "-c", command], cwd=night, capture_output=True, text=True, check=False)
        assert ran.returncode == 7, ran.stderr
        assert "File too large" in ran.stderr
        assert published(night, output) == was
    assert Path(night / "out").exists()
