"""Transactions of a table: of the writers of a date one wins, and a date has the rows of exactly one run."""

import json
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pyarrow import parquet

from gamesales.errors import TryAgainError
from gamesales.lake import commit, location
from gamesales.lake.location import TableLocation
from gamesales.scoring.engines.local import run_shards
from support.runs import DAY
from support.sampling import many, sample
from support.tables import (
    list_dates,
    numbered_version,
    plan_table_run,
    race_runs,
    read_rows,
    score_table,
    stop_after,
    versions_of,
)
from support.versions import titles_table


@pytest.fixture
def source(tmp_path):
    """A file of a hundred titles."""
    return write_titles(tmp_path / "a.parquet")


def write_titles(path, rows=100, seed=1, **extra):
    parquet.write_table(titles_table(rows, seed=seed, title_id=[f"T{row:05d}" for row in range(rows)], **extra), path)
    return path


def meanwhile(action):
    """Make an engine during which something else happens to the table."""

    def run(tasks, scorer, finish, workers, on_rows):
        yield from run_shards(tasks, scorer, finish, workers, on_rows)
        action()

    return run


@pytest.mark.parametrize("exists", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_one_writer_of_a_date_wins(tmp_path, source, exists):
    """Of processes that publish a date at once, also a new date of a new table, one wins and the others report it."""
    table = tmp_path / "table"
    if exists:
        score_table(numbered_version(9), source, table)
    outputs = race_runs(source, table, [(DAY, number) for number in (1, 2, 3)])
    winners = [output for output in outputs if output.startswith("published")]
    (number,) = set(versions_of(table))
    assert 100 == len(versions_of(table))
    assert outputs[number - 1] in winners
    losers = [output for output in outputs if output not in winners]
    assert all(f"another run published {DAY}" in output for output in losers)


@pytest.mark.slow
def test_writers_of_different_dates_succeed(tmp_path, source):
    """Processes that publish different dates at once all succeed, also if they replace rows."""
    table, days = tmp_path / "table", [DAY + timedelta(number) for number in range(3)]
    for expected in (1, 2):
        outputs = race_runs(source, table, [(day, expected) for day in days])
        assert ["published"] * 3 == [output.split()[0] for output in outputs]
        assert [[expected] * 100] * 3 == [versions_of(table, day) for day in days]


@pytest.mark.slow
def test_same_run_twice_at_once(tmp_path, source):
    """Processes that score the same run at once share its work, and all of them succeed."""
    table = tmp_path / "table"
    outputs = race_runs(source, table, [(DAY, 1)] * 3)
    assert {"published", "done"} >= {output.split()[0] for output in outputs}
    assert [1] * 100 == versions_of(table)


def test_lost_race_is_reported(tmp_path, source):
    """A run that ends after another run of its date was published reports that run; run again, it replaces it."""
    table = tmp_path / "table"
    other = meanwhile(lambda: score_table(numbered_version(2), source, table))
    with pytest.raises(TryAgainError, match=r"expected no run, found run [0-9a-f]{8}; nothing of run") as lost:
        score_table(numbered_version(1), source, table, engine=other)
    assert "To replace the other run, run the same command again" == lost.value.hint
    assert [2] * 100 == versions_of(table)
    assert 1 == score_table(numbered_version(1), source, table).shards_resumed
    assert [1] * 100 == versions_of(table)


def test_other_dates_do_not_matter(tmp_path, source):
    """A run succeeds although other dates are replaced meanwhile, and a column is added."""
    table, other = tmp_path / "table", DAY + timedelta(1)
    score_table(numbered_version(2), source, table, day=other)
    wide = write_titles(tmp_path / "wide.parquet", region=["eu"] * 100)
    score_table(
        numbered_version(1),
        source,
        table,
        engine=meanwhile(lambda: score_table(numbered_version(3), wide, table, day=other)),
    )
    assert ([1] * 100, [3] * 100) == (versions_of(table), versions_of(table, other))
    assert {"eu"} == {row["region"] for row in read_rows(table, other)}
    assert {None} == {row["region"] for row in read_rows(table)}


def test_two_runs_add_a_column(tmp_path, source):
    """Two runs that add the same column at the same time both succeed."""
    table, other = tmp_path / "table", DAY + timedelta(1)
    score_table(numbered_version(1), source, table, day=DAY - timedelta(1))
    wide = write_titles(tmp_path / "wide.parquet", region=["eu"] * 100)
    score_table(
        numbered_version(1),
        wide,
        table,
        engine=meanwhile(lambda: score_table(numbered_version(2), wide, table, day=other)),
    )
    assert {"eu"} == {row["region"] for day in (DAY, other) for row in read_rows(table, day)}


def test_wider_column_of_another_run(tmp_path, source):
    """If another run adds a column with a wider type first, the run is refused, and run again it has this type."""
    table, other = tmp_path / "table", DAY + timedelta(1)
    score_table(numbered_version(1), source, table, day=DAY - timedelta(1))
    narrow = write_titles(tmp_path / "narrow.parquet", count=pa.array([1] * 100, pa.int16()))
    wide = write_titles(tmp_path / "wide.parquet", count=pa.array([1] * 100, pa.int64()))
    win = meanwhile(lambda: score_table(numbered_version(2), wide, table, day=other))
    with pytest.raises(TryAgainError, match="another run has added a column of this run with a wider type"):
        score_table(numbered_version(1), narrow, table, engine=win)
    score_table(numbered_version(1), narrow, table)
    (part,) = {row["count"] for row in read_rows(table)}
    assert 1 == part


def test_versions_are_on_the_disk(tmp_path, source, monkeypatch):
    """Each version of a table on a disk is forced to the disk before its run ends."""
    synced = []
    monkeypatch.setattr(location, "fsync", lambda path: synced.append((path.stat(), path.name)))
    score_table(numbered_version(1), source, tmp_path / "table")
    assert {"00000000000000000000.json", "00000000000000000001.json", "_delta_log", "table"} == {
        name for _, name in synced
    }


@pytest.mark.parametrize(
    "interfere",
    [
        lambda table: DeltaTable(str(table)).optimize.compact(),
        lambda table: write_deltalake(
            str(table), pa.table({"title_id": ["x"], "run_date": pa.array([DAY])}), mode="append", schema_mode="merge"
        ),
    ],
    ids=["compacts", "appends"],
)
def test_foreign_writer_of_the_date(tmp_path, source, interfere, monkeypatch):
    """If another program compacts or appends to the date during the transaction, its rows are removed again."""
    table = tmp_path / "table"
    score_table(numbered_version(1), source, table)
    score_table(numbered_version(1), source, table, fresh=True)
    write_deltalake(str(table), DeltaTable(str(table)).to_pyarrow_table(), mode="append")  # now there are two files
    write, calls = commit._write_date, []

    def write_date(opened, transaction):
        calls.append(1)
        if len(calls) == 1:
            interfere(table)
        write(opened, transaction)

    monkeypatch.setattr(commit, "_write_date", write_date)
    score_table(numbered_version(2), source, table)
    assert 2 == len(calls)
    assert [2] * 100 == versions_of(table)


def test_compaction_afterwards_is_kept(tmp_path):
    """A program may compact a published date later. The run stays published, with the same rows."""
    table = tmp_path / "table"
    source = write_titles(tmp_path / "a.parquet")
    score_table(numbered_version(1), source, table)
    DeltaTable(str(table)).optimize.compact()
    assert score_table(numbered_version(1), source, table).already_done
    assert [1] * 100 == versions_of(table)


def test_lost_answer_is_no_failure(tmp_path, source, monkeypatch):
    """If the answer to a transaction gets lost, the table is read again, and the run is not published twice."""
    table, write = tmp_path / "table", commit._write_date

    def write_date(opened, transaction):
        write(opened, transaction)
        raise OSError("connection reset")

    monkeypatch.setattr(commit, "_write_date", write_date)
    assert not score_table(numbered_version(1), source, table).already_done
    assert 1 == DeltaTable(str(table)).version()
    assert [1] * 100 == versions_of(table)


def test_dead_table_ends_in_time(tmp_path, source, monkeypatch):
    """A table that can't be written fails after a few tries, and the next run goes on from there."""

    def write_date(opened, transaction):
        raise OSError("connection reset")

    with monkeypatch.context() as patch:
        patch.setattr(commit, "_write_date", write_date)
        with pytest.raises(TryAgainError, match="could not be published: connection reset"):
            score_table(numbered_version(1), source, tmp_path / "table")
    assert 1 == score_table(numbered_version(1), source, tmp_path / "table").shards_resumed


class _StoppedError(BaseException):
    """The process ends here."""


class _EndingStore:
    """A store of a process that ends before or after its request with a number."""

    def __init__(self, store, limit, counter, *, after):
        self._store, self._limit, self._counter, self._after = store, limit, counter, after

    def __getattr__(self, name):
        value = getattr(self._store, name)
        if not callable(value):
            return value

        def call(*arguments, **options):
            self._counter.append(name)
            if len(self._counter) == self._limit and not self._after:
                raise _StoppedError
            result = value(*arguments, **options)
            if len(self._counter) == self._limit:
                raise _StoppedError
            return result

        return call


def end_at(monkeypatch, limit, *, after):
    """Let the process end at a request of its run: to the store, or to the table. Return the list of its requests."""
    counter = []
    open_store = TableLocation.open_store

    def counted(function):
        return _EndingStore(type("Holder", (), {"call": staticmethod(function)}), limit, counter, after=after).call

    monkeypatch.setattr(
        TableLocation, "open_store", lambda self: _EndingStore(open_store(self), limit, counter, after=after)
    )
    monkeypatch.setattr(commit, "_write_date", counted(commit._write_date))
    monkeypatch.setattr(TableLocation, "_create_table", counted(TableLocation._create_table))
    return counter


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_end_at_each_request(tmp_path, after, monkeypatch):
    """Wherever a run ends, readers see the old rows or the new rows, and a second start completes it."""
    source = write_titles(tmp_path / "a.parquet", title=["x"] * 100, unit_price=[-1.0] + [50.0] * 99)
    with monkeypatch.context() as patch:
        requests = end_at(patch, 0, after=after)
        score_table(numbered_version(2), source, tmp_path / "counted")
        count = len(requests)
    assert count > 8
    for limit in sample(f"requests of a table run, {after}", range(1, count + 1), many(count, 8)):
        for exists in (False, True):
            table = tmp_path / f"table{limit}{exists}"
            if exists:
                score_table(numbered_version(1), source, table)
            with monkeypatch.context() as patch:
                end_at(patch, limit, after=after)
                with pytest.raises(_StoppedError):
                    score_table(numbered_version(2), source, table)
            if (table / "_delta_log").exists():
                assert versions_of(table) in ([1] * 99 if exists else [], [2] * 99)
            score_table(numbered_version(2), source, table)
            assert [2] * 99 == versions_of(table)
            assert score_table(numbered_version(2), source, table).already_done


class TableMachine(RuleBasedStateMachine):
    """Any sequence of runs, replays, interruptions and lost races leaves each date with the rows of one run."""

    days = st.integers(0, 2).map(lambda number: DAY + timedelta(number))
    numbers = st.integers(1, 3)

    @initialize()
    def make_table(self):
        self.folder = tempfile.TemporaryDirectory(prefix="gamesales-test-")
        self.table = Path(self.folder.name) / "table"
        self.source = write_titles(Path(self.folder.name) / "a.parquet", 5)
        self.published: dict[date, int] = {}

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(day=days, number=numbers, fresh=st.booleans())
    def publish(self, day, number, fresh):
        report = score_table(numbered_version(number), self.source, self.table, day=day, fresh=fresh)
        assert report.already_done == (self.published.get(day) == number and not fresh)
        self.published[day] = number

    @rule(day=days, number=numbers)
    def interrupt(self, day, number):
        if self.published.get(day) != number:
            with pytest.raises(KeyboardInterrupt):
                score_table(numbered_version(number), self.source, self.table, day=day, engine=stop_after(1))

    @rule(day=days, number=numbers, other=numbers)
    def race(self, day, number, other):
        if self.published.get(day) in (number, other) or number == other:
            return

        def win():
            score_table(numbered_version(other), self.source, self.table, day=day)

        def run(tasks, scorer, finish, workers, on_rows):
            yield from run_shards(tasks, scorer, finish, workers, on_rows)
            win()

        with pytest.raises(TryAgainError):
            # An interrupted run may have finished all shards already; then the engine has no tasks, and still wins.
            score_table(numbered_version(number), self.source, self.table, day=day, engine=run)
        self.published[day] = other

    @rule()
    def compact(self):
        if self.published:
            DeltaTable(str(self.table)).optimize.compact()

    @invariant()
    def dates_have_one_run(self):
        if not (self.table / "_delta_log").exists():
            return
        assert sorted(self.published) == list_dates(self.table)
        for day, number in self.published.items():
            assert [number] * 5 == versions_of(self.table, day)


TestTableMachine = TableMachine.TestCase
TestTableMachine.settings = settings(max_examples=many(60, 5), stateful_step_count=12, deadline=None)


def test_checkpoints_keep_the_runs(tmp_path, source):
    """After many commits, which write checkpoints, each date still names its run."""
    table, days = tmp_path / "table", [DAY + timedelta(number) for number in range(25)]
    for day in days:
        score_table(numbered_version(1), source, table, day=day)
    assert (table / "_delta_log/_last_checkpoint").exists()
    assert all(score_table(numbered_version(1), source, table, day=day).already_done for day in days)


def test_transaction_number_names_the_run(tmp_path, source):
    """The transaction of a date begins with the digits of the run id."""
    report = score_table(numbered_version(1), source, tmp_path / "table")
    number = DeltaTable(str(tmp_path / "table")).transaction_version(str(DAY))
    assert int(report.run_id[:12], 16) << 15 == number
    plan, _ = plan_table_run(numbered_version(1), source, tmp_path / "table")
    assert plan.run_id == report.run_id
    log = (tmp_path / "table/_delta_log/00000000000000000001.json").read_text().splitlines()
    assert {"numRecords": 100} == json.loads(next(json.loads(line)["add"]["stats"] for line in log if '"add"' in line))
