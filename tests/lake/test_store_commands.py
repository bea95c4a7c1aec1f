"""The commands of a model's life against object stores of which 5% of the requests fail, are late, or come twice."""

import os
import secrets
import time
from collections import Counter
from datetime import date
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales import Registry
from gamesales.jobs.loading import open_registry
from gamesales.scoring import shard_bounds
from support import objects
from support.fault_proxy import FAULTS, FaultProxy, draw_faults
from support.fault_trials import quick_clients
from support.labeled import digest, make_labeled_table
from support.sampling import many, seed
from support.tables import list_dates, read_rows
from support.train_jobs import DENSE, write_job
from support.versions import publish_simple, simple_earnings, title_values, titles_table

DAYS = [date(2026, 11, day) for day in (21, 22, 23)]
ROWS = 1_200
IDS = pa.array([f"T{row:05d}" for row in range(ROWS)])
# What the versions 2, 3 and 4 predict more than the formula of the titles. Version 1 is trained.
BIAS = {2: 0.0, 3: 500.0, 4: 900.0}
# Seconds that a command may take, whatever fails, on a machine that is busy with other tests.
TIME_LIMIT = 60


@pytest.fixture(params=["s3", "azure"])
def server(request):
    with quick_clients():
        yield request.getfixturevalue(request.param)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of files to upload, titles of each date among them, and a registry of three versions."""
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 500)
    tables = {
        "past": make_labeled_table(500),
        "test": make_labeled_table(100),
        "holdout": make_labeled_table(200),
        **{str(day): titles_table(ROWS, seed=day.day, title_id=IDS) for day in DAYS},
    }
    earnings = pa.array(simple_earnings(title_values(ROWS, DAYS[0].day)) + 1_000)
    tables["actuals"] = pa.table({"title_id": IDS, "total_earnings": earnings})
    (tmp_path / "titles").mkdir()
    for name, table in tables.items():
        parquet.write_table(table, tmp_path / f"titles/{name}.parquet", row_group_size=500)
    registry = open_registry(tmp_path / "analyst", "game-earnings")
    for bias in BIAS.values():
        publish_simple(registry, bias)
    return tmp_path


class Commands:
    """A command line whose requests to an object store fail. A command that exits with 7 is run again."""

    def __init__(self, cli, server, name):
        self.cli, self.server, self.name = cli, server, name

    def __call__(self, *arguments):
        for attempt in range(5):
            faults, begin = draw_faults(0.05, seed(f"{self.name} {arguments} {attempt}"), FAULTS), time.monotonic()
            with FaultProxy(self.server, faults, late=1.5) as proxy, proxy.server.entered():
                ran = self.cli(*arguments)
            assert time.monotonic() - begin < TIME_LIMIT, f"{arguments}: {ran}\n{proxy}"
            if ran.code != 7:
                assert ran.code == 0, f"{arguments}: {ran}\n{proxy}"
                return ran
        raise AssertionError(f"{arguments}: {ran}\n{proxy}")


@pytest.mark.slow
def test_commands_survive_failing_requests(server, cli, folder):
    """Every command ends with its result: nothing is registered, promoted or published twice, and nothing is lost."""
    for example in range(many(10, 1)):
        url = server.url(f"commands/{secrets.token_hex(4)}")
        commands, table, titles = Commands(cli, server, f"{server.scheme} {example}"), f"{url}/out", f"{url}/titles"
        with server.entered():
            objects.upload(folder / "titles", titles)
        write_jobs(folder, titles, table)
        with mock.patch.dict(os.environ, GAMESALES_REGISTRY=f"{url}/registry"):
            commands("train", "train.toml")
            commands("evaluate", 1, "--data", f"{titles}/holdout.parquet")
            commands("promote", 1)
            commands("score", f"{titles}/{DAYS[0]}.parquet", "--output", table, "--date", DAYS[0])
            check_trained(server, url, table, folder)
            for number in BIAS:
                commands("copy", number - 1, "--registry", "analyst", "--to", f"{url}/registry")
            commands("promote", 2, "--holdout", f"{titles}/holdout.parquet")
            commands("promote", 3)
            commands("score", "--job", "score.toml", "--from", DAYS[0], "--to", DAYS[2])
            assert read_biases(server, table) == [500.0] * 3
            commands("backtest", "--predictions", table, "--actuals", f"{titles}/actuals.parquet")
            commands("rollback")
            commands("score", f"{titles}/{DAYS[2]}.parquet", "--output", table, "--date", DAYS[2])
            commands("vacuum", table)
            commands("gc", "--keep-newest", 0, "--keep-days", 0, "--yes")
            commands("copy", "champion", "--to", f"{url}/other")
        assert read_biases(server, table) == [500.0, 500.0, 0.0]
        check_registry(server, f"{url}/registry")
        with server.entered():
            assert open_registry(f"{url}/other", "game-earnings").verify()


def write_jobs(folder, titles, table):
    """Write a small training job and a scoring job whose files are in the store."""
    data = {"train": f"{titles}/past.parquet", "test": f"{titles}/test.parquet"}
    write_job(folder / "train.toml", data=data, network={"layers": [DENSE]})
    (folder / "score.toml").write_text(f'inputs = ["{titles}/{{date}}.parquet"]\noutput = "{table}"\n')


def check_trained(server, url, table, folder):
    """Check that the trained version names its data, and that the table has its predictions, each title once."""
    with server.entered():
        registry = open_registry(f"{url}/registry", "game-earnings")
        data = registry.open_bundle(registry.find_version(1)).manifest["data"]
        rows = sorted(read_rows(table, DAYS[0]), key=lambda row: row["title_id"])
        expected = Registry(f"{url}/registry").load("1").predict(titles_table(ROWS, seed=DAYS[0].day))
    for role, name in (("train", "past"), ("test", "test")):
        path = folder / f"titles/{name}.parquet"
        assert (data[role]["path"], data[role]["sha256"]) == (f"{url}/titles/{name}.parquet", digest(path))
    assert [row["title_id"] for row in rows] == IDS.to_pylist()
    np.testing.assert_array_equal([row["predicted_earnings"] for row in rows], expected)


def read_biases(server, table):
    """Return how much more the table predicts than the formula of the titles, by date. Each title is there once."""
    with server.entered():
        assert list_dates(table) == DAYS
        biases = []
        for day in DAYS:
            rows = sorted(read_rows(table, day), key=lambda row: row["title_id"])
            assert [row["title_id"] for row in rows] == IDS.to_pylist()
            (bias,) = {
                round(row["predicted_earnings"] - earnings, 3)
                for row, earnings in zip(rows, simple_earnings(title_values(ROWS, day.day)), strict=True)
            }
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
            "version.registered": 4,
            "evaluation.recorded": 7,
            "alias.set": 4,
            "version.retired": 3,
        }
        assert state.target_of("champion") == 2
