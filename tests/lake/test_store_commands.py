"""The commands of a model's life against object stores of which 5% of the requests fail, are late, or come twice."""

import contextlib
import os
import secrets
from collections import Counter
from datetime import date
from unittest import mock

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.jobs.loading import open_registry
from gamesales.scoring import shard_bounds
from support import servers
from support.fault_proxy import FAULTS, FaultProxy, draw_faults
from support.fault_trials import quick_clients
from support.sampling import many, seed
from support.tables import list_dates, read_rows
from support.versions import publish_simple, simple_earnings, title_values, titles_table

DAYS = [date(2026, 11, day) for day in (21, 22, 23)]
ROWS = 1_200
BIAS = {1: 0.0, 2: 500.0, 3: 900.0}


@pytest.fixture(params=["s3", "azure"])
def server(request):
    with contextlib.ExitStack() as stack, quick_clients():
        yield servers.s3() if request.param == "s3" else stack.enter_context(servers.azure())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with titles of each date, their actual earnings, and a registry of three versions."""
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 500)
    ids = pa.array([f"T{row:05d}" for row in range(ROWS)])
    for day in DAYS:
        titles = titles_table(ROWS, seed=day.day, title_id=ids)
        parquet.write_table(titles, tmp_path / f"{day}.parquet", row_group_size=500)
    earnings = pa.array(simple_earnings(title_values(ROWS, DAYS[0].day)) + 1_000)
    parquet.write_table(pa.table({"title_id": ids, "total_earnings": earnings}), tmp_path / "actuals.parquet")
    registry = open_registry(tmp_path / "analyst", "game-earnings")
    for bias in BIAS.values():
        publish_simple(registry, bias)
    return tmp_path


class Commands:
    """A command line whose requests to an object store fail. A command that exits with 7 is run again."""

    def __init__(self, cli, server, name):
        self.cli, self.server, self.name = cli, server, name
        self.requests, self.tries = 0, Counter()

    def __call__(self, *arguments):
        for attempt in range(5):
            faults = draw_faults(0.05, seed(f"{self.name} {arguments} {attempt}"), FAULTS)
            with FaultProxy(self.server, faults, late=1.5) as proxy, proxy.server.entered():
                ran = self.cli(*arguments)
            self.requests += len(proxy.requests)
            self.tries[arguments[0]] += 1
            if ran.code != 7:
                assert ran.code == 0, f"{arguments}: {ran}\n{proxy}"
                return ran
        raise AssertionError(f"{arguments}: {ran}\n{proxy}")


@pytest.mark.slow
def test_commands_survive_failing_requests(server, cli, folder):
    """Every command ends with its result: nothing is registered, promoted or published twice, and nothing is lost."""
    for example in range(many(10, 1)):
        url = server.url(f"commands/{secrets.token_hex(4)}")
        commands, table = Commands(cli, server, f"{server.scheme} {example}"), f"{url}/predictions"
        with mock.patch.dict(os.environ, GAMESALES_REGISTRY=f"{url}/registry"):
            for number in BIAS:
                commands("copy", number, "--registry", "analyst", "--to", f"{url}/registry")
            commands("promote", 1)
            commands("score", f"{DAYS[0]}.parquet", "--output", table, "--date", DAYS[0])
            commands("promote", 2)
            (folder / "job.toml").write_text(f'inputs = ["{{date}}.parquet"]\noutput = "{table}"\n')
            commands("score", "--job", "job.toml", "--from", DAYS[0], "--to", DAYS[2])
            assert read_biases(server, table) == [500.0] * 3
            commands("backtest", "--predictions", table, "--actuals", "actuals.parquet")
            commands("rollback")
            commands("score", f"{DAYS[2]}.parquet", "--output", table, "--date", DAYS[2])
            commands("vacuum", table)
            commands("gc", "--keep-newest", 0, "--keep-days", 0, "--yes")
            commands("copy", "champion", "--to", f"{url}/other")
        assert read_biases(server, table) == [500.0, 500.0, 0.0]
        check_registry(server, f"{url}/registry")
        with server.entered():
            assert open_registry(f"{url}/other", "game-earnings").verify()


def read_biases(server, table):
    """Return how much more the table predicts than the formula of the titles, by date. Each title is there once."""
    with server.entered():
        assert list_dates(table) == DAYS
        biases = []
        for day in DAYS:
            rows = sorted(read_rows(table, day), key=lambda row: row["title_id"])
            assert [row["title_id"] for row in rows] == [f"T{row:05d}" for row in range(ROWS)]
            excess = {row["predicted_earnings"] for row in rows} and {
                round(row["predicted_earnings"] - earnings, 3)
                for row, earnings in zip(rows, simple_earnings(title_values(ROWS, day.day)), strict=True)
            }
            (bias,) = excess
            biases.append(bias)
    return biases


def check_registry(server, url):
    """Check that the log has every event once, and that the files of the versions in use are whole."""
    with server.entered():
        registry = open_registry(url, "game-earnings")
        registry.verify()
        events, state = registry.read_events(), registry.read_state()
        kinds = Counter(event.kind for event in events)
        assert kinds == {
            "version.registered": 3,
            "evaluation.recorded": 4,
            "alias.set": 3,
            "version.retired": 2,
        }
        assert state.target_of("champion") == 1
