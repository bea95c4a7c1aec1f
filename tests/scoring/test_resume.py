"""A run that is stopped at any point resumes, and ends with the bytes of an undisturbed run."""

import errno
import json
import os
import random
import shutil
from contextlib import contextmanager
from itertools import count

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.data import csv_scan, parquet_file
from gamesales.data.screen import RejectLimit
from gamesales.errors import TooManyRejectsError, TryAgainError
from gamesales.scoring import shard, shard_bounds
from gamesales.scoring.ids import TextIds
from gamesales.scoring.output import SingleFileOutput
from support.processes import limit_file_size
from support.runs import earnings, network_version, read_rejects, score, simple_version, snapshot, write_mixed
from support.sampling import some
from support.versions import titles_table

ROWS = 6_000
# All inputs together have 34 batches at the sizes below.
BATCHES = 30
LIMIT = RejectLimit(0, 0.5)
RESULT_PATHS = {"out.csv": "out.csv", "out.parquet": "out.parquet", "out": "out/run_date=2026-11-23"}
# Tenths of a run to stop at: with and without a finished shard.
TENTHS = [("out.csv", 0), ("out.csv", 7), ("out.parquet", 8), ("out", 9)]
OTHER_TENTHS = [(output, tenth) for output in RESULT_PATHS for tenth in range(10) if (output, tenth) not in TENTHS]


@pytest.fixture(scope="module")
def steps():
    """Many small shards and batches."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(parquet_file, "BATCH_ROWS", 150)
        monkeypatch.setattr(csv_scan, "CHUNK_BYTES", 6_000)
        monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 400)
        yield


@pytest.fixture(scope="module")
def undisturbed(steps, tmp_path_factory):
    """A folder with inputs of several kinds, and the result of each kind with its report."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_mixed(folder / "in", ROWS)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        reports = {output: score(network_version(), "in", output, limit=LIMIT) for output in RESULT_PATHS}
    return folder, reports


@pytest.fixture
def here(undisturbed, tmp_path, monkeypatch):
    """A folder with a copy of the inputs."""
    folder, _ = undisturbed
    shutil.copytree(folder / "in", tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def whole(undisturbed, output):
    """The report and the files of an undisturbed run."""
    folder, reports = undisturbed
    return reports[output], read_result(folder / RESULT_PATHS[output])


@pytest.fixture
def published(undisturbed, here):
    """The same, with a copy of the results."""
    shutil.copytree(undisturbed[0], here, dirs_exist_ok=True)
    return here


class Stop(BaseException):
    """Ends a run at once."""


def stop_after(monkeypatch, batches):
    """Stop the run after a number of batches; the returned function undoes this."""
    predict, seen = shard.predict_batch, []

    def counting(*arguments):
        seen.append(1)
        if len(seen) > batches:
            raise Stop
        return predict(*arguments)

    monkeypatch.setattr(shard, "predict_batch", counting)
    return lambda: monkeypatch.setattr(shard, "predict_batch", predict)


def read_result(path):
    """The files of a result without its report, which has times."""
    if path.is_dir():
        return {name: data for name, data in snapshot(path).items() if name != "_run.json"}
    return {path.name: path.read_bytes(), "rejects": path.with_name(f"{path.name}.rejects.csv").read_bytes()}


@pytest.mark.parametrize(("output", "tenth"), [*TENTHS, *some("tenths of a run", OTHER_TENTHS, 4)])
def test_stopped_run_resumes(here, whole, monkeypatch, output, tenth):
    """A run that was stopped at any tenth resumes and writes the same bytes."""
    version = network_version()
    resume = stop_after(monkeypatch, BATCHES * tenth // 10)
    with pytest.raises(Stop):
        score(version, "in", output, limit=LIMIT, workers=1 + tenth % 2)
    assert not (here / RESULT_PATHS[output]).exists()
    resume()
    report = score(version, "in", output, limit=LIMIT, workers=2 - tenth % 2)
    undisturbed, files = whole
    assert files == read_result(here / RESULT_PATHS[output])
    assert (undisturbed.rows_in, undisturbed.rows_scored) == (report.rows_in, report.rows_scored)
    assert undisturbed.inputs == report.inputs
    if tenth > 5:
        assert report.shards_resumed > 0


def test_finished_shards_are_not_scored_again(here, monkeypatch):
    """A resumed run scores only the shards that were not finished."""
    limit = RejectLimit(0, 0.5)
    resume = stop_after(monkeypatch, BATCHES * 9 // 10)
    with pytest.raises(Stop):
        score(simple_version(), "in", "out", limit=limit)
    resume()
    stop_after(monkeypatch, BATCHES // 2)
    assert score(simple_version(), "in", "out", limit=limit).shards_resumed > 0


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("share", [0.5, 1])
def test_cut_result_is_not_published(here, output, share):
    """A result that can't grow beyond half of its size, or by its last byte, is not published. The next run resumes."""
    chance, version = random.Random(1), simple_version()
    ids = pa.array([chance.randbytes(16).hex() for _ in range(ROWS)])  # a result that can't be compressed
    parquet.write_table(titles_table(ROWS, title_id=ids), "ids.parquet", row_group_size=300)
    score(version, "ids.parquet", f"whole/{output}")
    whole = (here / "whole" / output).read_bytes()
    with limit_file_size(int(len(whole) * share) - 1), pytest.raises(TryAgainError, match="File too large"):
        score(version, "ids.parquet", output)
    assert not (here / output).exists()
    assert score(version, "ids.parquet", output).shards_resumed > 0
    assert whole == (here / output).read_bytes()


def fail_once(function):
    """Let the second call of a function fail, as on a disk that is full for a moment."""
    calls = count(1)

    def call(*arguments):
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return function(*arguments)

    return call


def fail_writing_once(open_file):
    """Let the second write to each file that a function opens fail."""

    @contextmanager
    def open_failing(*arguments):
        with open_file(*arguments) as write:
            yield fail_once(write)

    return open_failing


@pytest.mark.parametrize(
    ("owner", "name", "fail"),
    [
        (shard, "open_part", fail_writing_once),
        (shard, "write_hashes", fail_once),
        (SingleFileOutput, "_join", fail_once),
    ],
    ids=["part", "ids", "join"],
)
@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_failed_write_fails_the_run(here, monkeypatch, output, owner, name, fail):
    """A single write that fails, while later writes succeed, fails the run. The next run writes the whole result."""
    limit = RejectLimit(0, 0.5)
    score(simple_version(), "in", f"whole/{output}", limit=limit)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail(getattr(owner, name)))
        patch.setattr(TextIds, "find_range", lambda ids: None)  # the ids ascend, so they would not be hashed
        with pytest.raises(TryAgainError, match="No space left"):
            score(simple_version(), "in", output, limit=limit)
    assert not (here / output).exists()
    score(simple_version(), "in", output, limit=limit)
    assert read_result(here / "whole" / output) == read_result(here / output)


@pytest.mark.parametrize("output", RESULT_PATHS)
def test_worker_count_is_irrelevant(here, whole, output):
    """Any number of workers writes the same bytes."""
    _, files = whole
    for workers in (2, 5):
        score(network_version(), "in", f"by{workers}/{output}", limit=LIMIT, workers=workers)
        assert files == read_result(here / f"by{workers}" / RESULT_PATHS[output])


@pytest.mark.parametrize("output", RESULT_PATHS)
def test_published_result_is_kept(published, whole, output, monkeypatch):
    """A result that is already published is not scored again."""
    first, _ = whole
    assert not first.already_done
    before = snapshot(published)
    stop_after(monkeypatch, 0)
    again = score(network_version(), "in", output, limit=LIMIT)
    assert again.already_done
    assert (first.run_id, first.started) == (again.run_id, again.started)
    assert before == snapshot(published)
    with pytest.raises(Stop):
        score(network_version(), "in", output, limit=LIMIT, fresh=True)


@pytest.mark.parametrize("output", RESULT_PATHS)
@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_damaged_result_is_scored_again(published, output, damage):
    """A result with a missing or truncated file is scored again."""
    visible = published / RESULT_PATHS[output]
    part = visible if visible.is_file() else sorted(visible.glob("part*"))[1]
    whole = part.read_bytes()
    if damage == "removed":
        part.unlink()
    else:
        part.write_bytes(whole[:-1])
    assert not score(network_version(), "in", output, limit=LIMIT).already_done
    assert whole == part.read_bytes()


@pytest.mark.parametrize("output", RESULT_PATHS)
def test_damaged_shard_is_scored_again(here, whole, output, monkeypatch):
    """A shard with a damaged file or entry is scored again."""
    version = network_version()
    resume = stop_after(monkeypatch, BATCHES * 6 // 10)
    with pytest.raises(Stop):
        score(version, "in", output, limit=LIMIT)
    resume()
    (work,) = list(here.rglob("*.work/run-*"))
    entered = sorted(work.glob("ledger/*.json"))
    assert len(entered) > 2
    (name,) = [
        name
        for name in json.loads(entered[0].read_bytes())["files"]
        if name.startswith(("made/part", "pieces")) and "reject" not in name
    ]
    (work / name).write_bytes(b"cut")
    entered[1].write_bytes(b"{")
    report = score(version, "in", output, limit=LIMIT)
    assert report.shards_resumed == len(entered) - 2
    assert whole[1] == read_result(here / RESULT_PATHS[output])


def test_other_version_starts_over(here, monkeypatch):
    """Another version does not resume from the shards."""
    resume = stop_after(monkeypatch, BATCHES * 6 // 10)
    with pytest.raises(Stop):
        score(simple_version(), "in", "out", limit=LIMIT)
    resume()
    assert score(network_version(), "in", "out", limit=LIMIT).shards_resumed == 0


def test_reject_limit_stops_early(here, monkeypatch):
    """A run stops at the batch that exceeds the limit."""
    seen = []
    predict = shard.predict_batch
    monkeypatch.setattr(shard, "predict_batch", lambda *arguments: seen.append(1) or predict(*arguments))
    table = titles_table(ROWS)
    bad = table.set_column(table.schema.get_field_index("unit_price"), "unit_price", pa.array(np.zeros(ROWS)))
    parquet.write_table(bad, "bad.parquet", row_group_size=300)
    with pytest.raises(TooManyRejectsError, match=r"of 6,000 rows were rejected, more than the 60 allowed") as failure:
        score(simple_version(), "bad.parquet", "out.csv")
    assert len(seen) < 20  # of 40 batches; threads that are scoring another shard finish their batch
    (rejects,) = here.glob("out.csv.work/run-*/rejects.csv")
    assert read_rejects(rejects)[0]["row"] == 1
    assert str(rejects.relative_to(here)) in failure.value.hint


def test_larger_limit_resumes(here):
    """A run with a larger limit resumes from the shards of the failed run."""
    with pytest.raises(TooManyRejectsError):
        score(simple_version(), "in", "out.csv", limit=RejectLimit(60, 0))
    report = score(simple_version(), "in", "out.csv", limit=LIMIT)
    assert report.shards_resumed > 0
    assert report.rows_rejected == len(read_rejects(here / "out.csv.rejects.csv"))


def test_rows_keep_input_order(here):
    """Rows keep the order of the inputs with any number of workers."""
    score(simple_version(), "in", "out.csv", limit=LIMIT, workers=3)
    score(simple_version(), "in", "out", limit=LIMIT, workers=3)
    assert earnings(here / "out.csv") == earnings(here / RESULT_PATHS["out"])
