"""Runs into a Delta table in an object store whose requests fail, are answered late, or are processed twice."""

import secrets
import time
from datetime import date, timedelta

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales import read_predictions
from gamesales.errors import InputNotFoundError, TryAgainError
from gamesales.jobs.vacuum import vacuum
from gamesales.lake import location
from gamesales.lake.results import open_snapshot
from gamesales.scoring import shard_bounds
from gamesales.storage.store import open_store
from support.fault_proxy import FAST_FAULTS, FAULTS, Fault, FaultProxy, draw_faults, lose_store
from support.fault_trials import FaultTrials, quick_clients
from support.runs import DAY, simple_version
from support.sampling import many, sample, seed
from support.tables import read_rows, score_table
from support.versions import titles_table

pytestmark = pytest.mark.slow
OTHER_DAY = date(2026, 11, 22)


@pytest.fixture(scope="module", autouse=True)
def _quick_clients():
    with quick_clients(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_bounds, "MIN_SHARD_ROWS", 1_000)
        yield


@pytest.fixture(scope="module", params=["s3 new table", "s3 checkpoint", "azure"])
def night(request, tmp_path_factory):
    """A night of a table that does not exist, or that has another date and an earlier result of the date.

    On S3, the run writes a checkpoint of the log of the table, too.
    """
    store, _, case = request.param.partition(" ")
    server, folder = request.getfixturevalue(store), tmp_path_factory.mktemp("titles")
    url, version = server.url(f"faults/{secrets.token_hex(4)}"), simple_version()
    for name, rows in (("old", 1500), ("new", 2500)):
        parquet.write_table(titles(rows), folder / f"{name}.parquet", row_group_size=500)
    if case != "new table":
        with server.entered(), pytest.MonkeyPatch.context() as patch:
            patch.setitem(location._PROPERTIES, "delta.checkpointInterval", "3" if case else "20")
            for day in (OTHER_DAY, DAY):
                score_table(version, folder / "old.parquet", url, day=day)
    return FaultTrials(server, url, lambda: score_table(version, folder / "new.parquet", url), lambda: read_dates(url))


def titles(rows):
    """Return titles with ids."""
    return titles_table(rows, seed=rows, title_id=pa.array([f"T{row:05d}" for row in range(rows)]))


def read_dates(url):
    """Return the predictions of both dates, as deltalake reads them. The reader of gamesales must agree."""
    dates = []
    for day in (OTHER_DAY, DAY):
        try:
            table = read_predictions(url, day)
        except InputNotFoundError:
            dates.append(None)
            continue
        rows = sorted((row["title_id"], row["predicted_earnings"]) for row in read_rows(url, day))
        read = sorted(zip(*(table[name].to_pylist() for name in ("title_id", "predicted_earnings")), strict=True))
        assert rows == read
        dates.append(rows)
    return dates


def test_one_failed_request_is_harmless(night, request):
    """A run succeeds if any of its requests fails in any way."""
    for number, fault in night.draw(request.node.name, FAST_FAULTS, writes=2, reads=2):
        night.restore()
        error, proxy = night.run({number: fault})
        assert error is None, f"{error}\n{proxy}"
        assert night.read() == night.new, proxy


def test_store_is_gone_from_a_request_on(night, request):
    """If the store is gone from any request on, readers see the old or the new night, and the next run succeeds."""
    for number, fault in night.draw(request.node.name, (Fault.CUT_BEFORE, Fault.CUT_AFTER), writes=2, reads=1):
        night.restore()
        error, proxy = night.run(lose_store(number, fault))
        after = night.read()
        assert after == night.new if error is None else after in (night.old, night.new), f"{error}\n{proxy}"
        assert error is None or error.exit_code == 7, f"{error}\n{proxy}"
        assert night.run()[0] is None
        assert night.read() == night.new, proxy


def test_requests_fail_at_random(night, request):
    """With 5% of the requests failing, late or processed twice, readers see the old or the new night."""
    for example in range(many(100, 1)):
        night.restore()
        for attempt in range(5):
            number = seed(f"{request.node.name} {example} {attempt}")
            error, proxy = night.run(draw_faults(0.05, number, FAULTS))
            assert error is None or error.exit_code == 7, f"{error}\n{proxy}"
            assert night.read() in ([night.new] if error is None else [night.old, night.new]), f"{error}\n{proxy}"
            if error is None:
                break
        assert night.read() == night.new, proxy


def test_vacuum_loses_nothing(s3, tmp_path):
    """A vacuum succeeds if any of its requests fails. If the store is gone, no row is lost, and it can be repeated."""
    url, version = s3.url(f"faults/{secrets.token_hex(4)}"), simple_version()
    with s3.entered():
        for day, rows in ((OTHER_DAY, 1500), (DAY, 1500), (DAY, 2500)):
            parquet.write_table(titles(rows), tmp_path / "titles.parquet", row_group_size=500)
            score_table(version, tmp_path / "titles.parquet", url, day=day)
    later = time.time() + timedelta(40).total_seconds()

    def read():
        return read_dates(url), {key for key in open_store(url).list("") if not key.startswith("_gamesales/vacuum/")}

    trials = FaultTrials(s3, url, lambda: vacuum(location.TableLocation(url), now=later), read)
    assert trials.new[1] < trials.old[1]
    for number, fault in trials.draw("a vacuum", FAST_FAULTS, writes=2, reads=1):
        trials.restore()
        error, proxy = trials.run({number: fault})
        assert error is None, f"{error}\n{proxy}"
        assert trials.read() == trials.new, proxy
    for number, fault in trials.draw("a lost vacuum", (Fault.CUT_BEFORE, Fault.CUT_AFTER), writes=1, reads=0):
        trials.restore()
        error, proxy = trials.run(lose_store(number, fault))
        assert error is None or error.exit_code == 7, f"{error}\n{proxy}"
        assert trials.read()[0] == trials.old[0], proxy
        assert trials.run()[0] is None
        assert trials.read() == trials.new, proxy


def test_reader_reports_a_lost_store(night, request):
    """If the store is gone from any request of a reader on, the reader says so. It misses no version and no row."""
    with night.server.entered():
        version = open_snapshot(location.TableLocation(night.url)).table.version()

    def read():
        return read_predictions(night.url, DAY, version=version)

    with FaultProxy(night.server) as proxy, proxy.server.entered():
        expected = read()
    for number in sample(f"requests of {request.node.name}", range(1, len(proxy.requests) + 1), 3):
        with (
            FaultProxy(night.server, lose_store(number, Fault.CUT_AFTER)) as proxy,
            proxy.server.entered(),
            pytest.raises(TryAgainError),
        ):
            read()
        with FaultProxy(night.server, {number: Fault.CUT_ANSWER}) as proxy, proxy.server.entered():
            assert expected == read(), proxy
