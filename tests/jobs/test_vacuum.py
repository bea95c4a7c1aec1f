"""A vacuum removes what no retained version of a table needs, and nothing else."""

import json
import os
import secrets
from contextlib import suppress
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales.errors import InputError, InputNotFoundError, TryAgainError, UsageError
from gamesales.jobs.vacuum import vacuum
from gamesales.lake.location import TableLocation
from gamesales.lake.release import release_table_run
from gamesales.lake.results import read_table
from gamesales.lake.table_run import TableOutput
from gamesales.scoring import shard_bounds
from gamesales.scoring.run_report import Release
from gamesales.training.evaluation import profile_column, profile_columns
from support.runs import DAY, put_column, simple_version, snapshot
from support.tables import score_table, stop_after
from support.versions import FEATURES, simple_earnings, title_values, titles_table

DAY_SECONDS = 86_400
DAYS = [DAY, DAY + timedelta(1)]
RELEASE = Release("an owner", "2026-11-23T04:00:00+00:00", "a sale")


@pytest.fixture(scope="module")
def version():
    """A version that knows which titles are usual."""
    values = title_values(2_000, seed=7)
    return simple_version(
        training_profile=profile_columns(FEATURES, values),
        prediction_profile=profile_column("predicted_earnings", simple_earnings(values)),
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Usual titles, other usual titles, none, and titles at one price, which have drifted. One row is rejected."""
    folder = tmp_path_factory.mktemp("titles")
    ids = {"title_id": [f"T{row:03d}" for row in range(400)][::-1]}
    drifted = put_column(titles_table(400, seed=9, **ids), "unit_price", np.full(400, 59.99))
    drifted = put_column(drifted, "is_action", pa.array([9.0, *drifted.column("is_action").to_pylist()[1:]]))
    tables = [titles_table(400, seed=8, **ids), titles_table(400, seed=10, **ids), drifted, drifted[:0]]
    paths = [folder / f"{number}.parquet" for number in range(len(tables))]
    for table, path in zip(tables, paths, strict=True):
        parquet.write_table(table, path)
    return paths


def age(table, days):
    """Make everything in a table older by some days."""
    for path in table.rglob("*"):
        time = path.stat().st_mtime - days * DAY_SECONDS
        if path.name == "start.json":
            start = json.loads(path.read_text())
            began = date.fromisoformat(start["time"][:10]) - timedelta(days)
            path.write_text(json.dumps(start | {"time": f"{began}{start['time'][10:]}"}))
        os.utime(path, (time, time))


def read_day(location, day, number):
    """The rows and the run of a date in a version of a table; None if no run has published the date."""
    with suppress(InputNotFoundError):
        return read_table(location, day, number)
    return None


class History:
    """A table, and what each of its versions has to say."""

    def __init__(self, folder, version, sources):
        self.folder, self.version, self.sources = folder, version, sources
        self.location = TableLocation(str(folder))
        self.now = 0
        self.contents = []  # of each version: when it began, and its rows by date
        self.withheld = {}
        self.cutoff = -1_000  # the latest of all vacuums

    def run(self, day, source, *, fresh=False, withhold=False, shards=None):
        """Score a source into a date; ``shards`` is the number of shards after which the run is interrupted."""
        more = {} if shards is None else {"engine": stop_after(shards)}
        with suppress(KeyboardInterrupt):
            score_table(
                self.version,
                self.sources[source],
                self.folder,
                day=DAYS[day],
                fresh=fresh,
                withhold_drift=withhold,
                **more,
            )
        self._look()

    def release(self, day):
        """Release what is withheld. It may be too old, or replaced."""
        with suppress(UsageError, InputError, TryAgainError):
            release_table_run(TableOutput(self.location, DAYS[day]), RELEASE)
        self._look()

    def age(self, days):
        if self.folder.exists():
            age(self.folder, days)
        self.now += days

    def vacuum(self, days):
        """Vacuum, and check that all retained versions are as they were."""
        if not self.contents:
            return None
        result = vacuum(self.location, days)
        ends = [began for began, _ in self.contents[1:]] + [self.now]
        self.cutoff = max(self.cutoff, self.now - days)
        retained = [number for number, end in enumerate(ends) if end > self.cutoff]
        assert (retained[0], retained[-1]) == (result.oldest_version, result.newest_version)
        for number in retained:
            assert self.contents[number][1] == self._read(number)
        return result

    def _look(self):
        newest = DeltaTable(str(self.folder)).version()
        for number in range(len(self.contents), newest + 1):
            self.contents.append((self.now, self._read(number)))

    def _read(self, number):
        return [read_day(self.location, day, number) for day in DAYS]


@pytest.fixture
def history(tmp_path, version, sources):
    """A table of which nothing is written yet."""
    return History(tmp_path / "table", version, sources)


DAY_NUMBER, SOURCE = st.integers(0, 1), st.integers(0, 3)
ACTION = st.one_of(
    st.tuples(st.just("run"), DAY_NUMBER, SOURCE),
    st.builds(lambda day, source: ("run", day, source, {"fresh": True}), DAY_NUMBER, SOURCE),
    st.builds(lambda day: ("run", day, 2, {"withhold": True}), DAY_NUMBER),
    st.builds(lambda day, source: ("run", day, source, {"shards": 1}), DAY_NUMBER, SOURCE),
    st.tuples(st.just("release"), DAY_NUMBER),
    st.tuples(st.just("age"), st.sampled_from([1, 4, 6, 8, 25, 40])),
    st.tuples(st.just("vacuum"), st.sampled_from([30, 45])),
)


def check_actions(folder, version, sources, actions):
    """Run actions on a table; in the end, everything that only earlier versions need is removed."""
    history = History(folder / secrets.token_hex(4), version, sources)
    history.run(0, 0)
    for name, *arguments in actions:
        options = arguments.pop() if isinstance(arguments[-1], dict) else {}
        getattr(history, name)(*arguments, **options)
    history.vacuum(30)
    history.age(60)
    history.vacuum(30)
    assert list_parts(history.folder) == list_needed_parts(history.folder)
    history.vacuum(30)  # removes the starts of the runs
    assert list_runs(history.folder) == list_published_runs(history.folder)


@settings(max_examples=6)
@given(actions=st.lists(ACTION, min_size=3, max_size=10))
def test_retained_versions_stay_readable(tmp_path_factory, version, sources, actions):
    """Whatever runs, replaces, is withheld, released or interrupted, a vacuum changes no retained version."""
    check_actions(tmp_path_factory.mktemp("lake"), version, sources, actions)


@pytest.mark.slow
@settings(max_examples=25)
@given(actions=st.lists(ACTION, min_size=5, max_size=20))
def test_long_histories_stay_readable(tmp_path_factory, version, sources, actions):
    """The same, with longer histories."""
    check_actions(tmp_path_factory.mktemp("lake"), version, sources, actions)


def list_parts(folder):
    """The files of rows in a table."""
    return {str(path.relative_to(folder)) for path in folder.glob("run_date=*/*")}


def list_needed_parts(folder, number=None):
    """The files of rows that a version of the table needs."""
    return {str(os.path.relpath(path, folder)) for path in DeltaTable(str(folder), number).file_uris()}


def list_runs(folder):
    """The dates and the first digits of the runs that have any file in a table."""
    folders = [*folder.glob("_gamesales/run_date=*/*")]
    marks = [(path.parent.name, path.name.split("-")[-2]) for path in folder.glob("_gamesales/withheld/*/*")]
    return {(path.parent.name, path.name[:8]) for path in folders} | set(marks)


def list_published_runs(folder):
    """The dates and the first digits of the runs that the newest version publishes."""
    table = DeltaTable(str(folder))
    numbers = {day: table.transaction_version(str(day)) for day in DAYS}
    return {(f"run_date={day}", f"{number >> 15:012x}"[:8]) for day, number in numbers.items() if number is not None}


def test_replaced_parts_are_removed(history):
    """The files of a replaced run stay for the retention, and then go with all that is known about the run."""
    history.run(0, 0)
    first = list_parts(history.folder)
    history.age(100)
    history.run(0, 1)
    history.age(29)
    assert 0 == history.vacuum(30).parts_removed
    history.age(2)
    result = history.vacuum(30)
    assert (1, len(first)) == (result.parts_removed, len(first - list_parts(history.folder)))
    assert (2, 2) == (result.oldest_version, result.newest_version)
    assert 1 == history.vacuum(30).records_removed  # the start of the run
    assert list_runs(history.folder) == list_published_runs(history.folder)
    with pytest.raises(InputNotFoundError, match="in version 1 have no report; a vacuum may have removed them"):
        read_table(history.location, DAY, 1)


def test_published_run_keeps_its_records(history):
    """Of an old run that is published, the report and the rejects stay; the ledger and the ids go."""
    history.run(0, 2)
    history.age(40)
    assert 2 == history.vacuum(30).records_removed
    names = sorted(path.name.split("-")[0] for path in history.folder.glob("_gamesales/run_date=*/**/*.*"))
    assert ["_run.json", "part", "start.json"] == names


def test_run_without_rows_stays(history):
    """A run that published a date without rows is a run as any other."""
    history.run(0, 3)
    history.age(40)
    history.vacuum(30)
    assert 0 == read_table(history.location, DAY).num_rows
    history.run(0, 0)
    history.vacuum(30)
    assert 0 == read_table(history.location, DAY, 1).num_rows
    history.age(40)
    history.vacuum(30)
    history.vacuum(30)
    assert list_runs(history.folder) == list_published_runs(history.folder)


def test_compacted_run_keeps_its_report(history, monkeypatch):
    """If another program has compacted the parts of a run, its report stays, in the retained versions too."""
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 100)
    source = history.folder.parent / "groups.parquet"
    parquet.write_table(parquet.read_table(history.sources[0]), source, row_group_size=100)
    score_table(history.version, source, history.folder)
    DeltaTable(str(history.folder)).optimize.compact()
    history.age(40)
    assert 4 == vacuum(history.location).parts_removed
    assert 400 == read_table(history.location, DAY).num_rows
    score_table(history.version, history.sources[1], history.folder)
    vacuum(history.location)
    assert 400 == read_table(history.location, DAY, 2).num_rows


def test_withheld_run_can_be_released(history):
    """A withheld run can be released after a vacuum, as long as it is younger than the retention."""
    history.run(0, 0)
    history.run(0, 2, withhold=True)
    history.age(5)
    history.vacuum(30)
    assert RELEASE == release_table_run(TableOutput(history.location, DAY), RELEASE).release
    history.run(1, 2, withhold=True)
    history.age(31)
    history.vacuum(30)
    with pytest.raises(UsageError, match="no run of 2026-11-24 is withheld"):
        release_table_run(TableOutput(history.location, DAYS[1]), RELEASE)
    history.vacuum(30)
    assert list_runs(history.folder) == list_published_runs(history.folder)


def test_interrupted_run_goes_on(history):
    """An interrupted run goes on after a vacuum; an abandoned run is removed."""
    history.run(0, 0)
    history.run(1, 1, shards=1)
    history.age(5)
    history.vacuum(30)
    report = score_table(history.version, history.sources[1], history.folder, day=DAYS[1])
    assert 1 == report.shards_resumed
    history.run(0, 1, shards=1)
    history.age(31)
    history.run(0, 1, shards=1)
    assert 0 == history.vacuum(30).parts_removed  # the age of a run is that of its newest file
    history.age(31)
    assert 2 == history.vacuum(30).parts_removed


def test_dry_run_changes_nothing(history):
    """A dry run returns what a vacuum would do, and changes nothing."""
    history.run(0, 0)
    history.run(0, 1)
    history.age(31)
    files = snapshot(history.folder)
    preview = vacuum(history.location, dry_run=True)
    assert files == snapshot(history.folder)
    result = history.vacuum(30)
    assert (1, 30, True) == (preview.parts_removed, preview.retention_days, preview.dry_run)
    assert (preview.parts_removed, preview.records_removed, preview.bytes_removed, preview.parts_kept) == (
        result.parts_removed,
        result.records_removed,
        result.bytes_removed,
        result.parts_kept,
    )


def test_third_vacuum_finds_nothing(history):
    """The second vacuum removes the start of a run, the third removes nothing, and a later vacuum their records."""
    history.run(0, 0)
    history.run(0, 1)
    history.age(31)
    removed = [history.vacuum(30) for _ in range(3)]
    assert [1, 0, 0] == [result.parts_removed for result in removed]
    assert [1, 0] == [result.records_removed for result in removed[1:]]
    assert 0 == removed[2].bytes_removed
    history.age(31)
    assert 3 == history.vacuum(30).records_removed
    assert 1 == len(list((history.folder / "_gamesales/vacuum").iterdir()))


def test_longer_retention_brings_nothing_back(history):
    """After a vacuum, a longer retention does not make earlier versions readable, and is not said to."""
    history.run(0, 0)
    history.run(0, 1)
    history.age(31)
    history.vacuum(30)
    assert 2 == history.vacuum(45).oldest_version
    assert 2 == vacuum(history.location, 45, dry_run=True).oldest_version


def test_files_of_other_programs(history):
    """Old rows that another program has never committed go; hidden files, other folders and younger files stay."""
    history.run(0, 0)
    names = [f"run_date={DAY}/{name}" for name in ("part-00000-1b2c-c000.snappy.parquet", "_SUCCESS", ".crc")]
    for name in (*names, "notes/a.txt", "a.parquet", "_gamesales/notes.txt"):
        (history.folder / name).parent.mkdir(exist_ok=True)
        (history.folder / name).write_bytes(b"x")
    (history.folder / f"run_date={DAY}/.tmp-0123").write_bytes(b"half a part")
    history.age(31)
    (history.folder / f"run_date={DAY}/young.parquet").write_bytes(b"x")
    before = set(snapshot(history.folder))
    result = history.vacuum(30)
    removed = {name for name in before - set(snapshot(history.folder)) if not name.startswith("_gamesales/run_date")}
    assert {names[0], f"run_date={DAY}/.tmp-0123"} == removed
    assert (1, 1) == (result.parts_removed, result.temporary_files)


def test_short_retention_is_refused(history):
    """A retention below the table's, or below seven days, is refused, and the message says the shortest."""
    history.run(0, 0)
    with pytest.raises(UsageError, match=r"expected 30 days or more, received 29: delta\.deletedFile"):
        vacuum(history.location, 29)
    set_retention(history, "interval 12 hours")
    assert 7 == vacuum(history.location).retention_days
    with pytest.raises(UsageError, match="expected 7 days or more, received 6: a run may still use") as refused:
        vacuum(history.location, 6)
    assert f"gamesales vacuum {history.folder} --older-than 7d" == refused.value.hint
    set_retention(history, "interval 8 weeks 12 hours")
    assert 56 == vacuum(history.location).retention_days


def set_retention(history, text):
    table = DeltaTable(str(history.folder))
    table.alter.set_table_properties({"delta.deletedFileRetentionDuration": text})


def test_no_table(tmp_path):
    """A folder without a table is reported, and so is a table of another program."""
    with pytest.raises(InputNotFoundError, match="no table at"):
        vacuum(TableLocation(str(tmp_path)))
    DeltaTable.create(str(tmp_path / "other"), pa.schema([("x", pa.int64())]))
    with pytest.raises(UsageError, match="expected a table partitioned by run_date"):
        vacuum(TableLocation(str(tmp_path / "other")))


def test_command(history, cli):
    """The command prints what was removed, what stays and what is readable, and refuses other ages."""
    history.run(0, 0)
    history.run(0, 1)
    history.age(100)
    ran = cli("vacuum", history.folder, "--older-than", "60d", "--dry-run")
    assert ran.out.splitlines()[0].startswith("would remove  1 part and ")
    assert "versions 2 to 2: all versions of the last 60 days" in ran.out
    assert ran.out.endswith("\nnothing was changed\n")
    assert 1 == cli("vacuum", history.folder, "--json").document["parts_removed"]
    for age in ("60", "-1d", "2 weeks"):
        ran = cli("vacuum", history.folder, f"--older-than={age}")
        assert (2, True) == (ran.code, "expects a number of days, such as 30d" in ran.err)
    assert 3 == cli("vacuum", history.folder / "nothing").code


def test_object_store(s3, monkeypatch, version, sources):
    """In an object store, the same files are removed."""
    location = TableLocation(s3.enter(monkeypatch))
    for source in sources[:2]:
        score_table(version, source, str(location))
    score_table(version, sources[0], str(location), day=DAYS[1])
    expected = [read_table(location, day) for day in DAYS]
    now = max(file.modified for file in location.open_store().list_files("").values())
    assert 0 == vacuum(location).parts_removed
    result = vacuum(location, now=now + 31 * DAY_SECONDS)
    assert (1, 2, 3) == (result.parts_removed, result.parts_kept, result.oldest_version)
    assert expected == [read_table(location, day) for day in DAYS]
    with pytest.raises(InputNotFoundError, match="in version 1 have no report; a vacuum may have removed them"):
        read_table(location, DAY, 1)


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/table", "s3://bucket/table?sig=secret"])
def test_wrong_url_hides_secrets(url):
    """A URL with a password or with options is refused before it is used, and without them."""
    with pytest.raises(UsageError, match="can't hold a table") as failure:
        vacuum(TableLocation(url))
    assert "secret" not in failure.value.message
