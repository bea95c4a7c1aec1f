"""Shards as tasks of a local Ray: the same bytes as in threads, whatever is killed."""

import errno
import importlib.util
import json
import os
import pickle
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales import __version__
from gamesales.data import csv_scan
from gamesales.data.screen import RejectLimit
from gamesales.errors import InputError, SelfTestError, TooManyRejectsError, TryAgainError, UsageError
from gamesales.jobs.score import load_score_job
from gamesales.jobs.score import score as score_job
from gamesales.scoring import shard_bounds
from gamesales.scoring.engines.local import run_shards
from gamesales.scoring.engines.ray_engine import RayEngine, score_task
from gamesales.scoring.engines.ray_process import RayProcess
from gamesales.scoring.engines.ray_worker import SharedValue, run_call
from gamesales.scoring.plan import Plan, read_software
from gamesales.scoring.shard import ShardScorer
from support.processes import loaded_by
from support.ray_runs import (
    HaltingEngine,
    UncopiedScorer,
    failing_engine,
    find_process,
    halted,
    is_running,
    list_descendants,
    list_sockets,
    start,
)
from support.runs import (
    csv_line,
    csv_text,
    earnings,
    gamesales,
    network_version,
    score,
    simple_version,
    snapshot,
    wait_until,
    write_mixed,
)
from support.versions import title_values, titles_table

pytest.importorskip("ray")
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
LIMIT = RejectLimit(0, 0.5)
ROWS = 4_000


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An empty home folder."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield Path.home()


@pytest.fixture(scope="module")
def engine(home):
    """A local Ray with two workers, for all tests of this file."""
    with RayEngine() as engine:
        yield engine


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, and shards of 400 rows."""
    monkeypatch.setattr(csv_scan, "CHUNK_BYTES", 6_000)
    monkeypatch.setattr(shard_bounds, "MIN_SHARD_ROWS", 400)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_result(path):
    """The files of a result without its report, which has times."""
    path = Path(path)
    if path.is_dir():
        return {name: data for name, data in snapshot(path).items() if not name.endswith("_run.json")}
    rejects = path.with_name(f"{path.name}.rejects.csv")
    return path.read_bytes(), rejects.read_bytes() if rejects.exists() else None


def score_both(engine, version, sources, output, **options):
    """Score in threads and on Ray, and return the reports and the results of both."""
    results = []
    for name, run in (("local", run_shards), ("ray", engine)):
        report = score(version, sources, f"{name}/{output}", engine=run, limit=LIMIT, **options)
        results.append((report, read_result(f"{name}/{output}")))
    return results


@pytest.mark.parametrize("output", ["out", "out.parquet", "out.csv"])
def test_same_bytes_as_threads(engine, here, output):
    """All kinds of input give the bytes of the local engine, for all kinds of result."""
    write_mixed(here / "in", ROWS)
    explain = {"explain": 3, "references": title_values(8)}
    (local, expected), (report, result) = score_both(engine, network_version(), "in", output, workers=2, **explain)
    assert expected == result
    assert len(expected) > 1
    for name in ("run_id", "rows_in", "rows_scored", "rows_rejected", "drift", "duplicate_ids", "explanations"):
        assert getattr(local, name) == getattr(report, name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_same_bytes_of_many_files(engine, here, kind):
    """Five hundred files give the bytes of the local engine, and so does one file."""
    table = titles_table(5_000, title_id=pa.array([f"T{row}" for row in range(5_000)]))
    for folder, rows in (("many", 10), ("single", 5_000)):
        (here / folder).mkdir()
        for number in range(5_000 // rows):
            part = table.slice(number * rows, rows)
            path = here / folder / f"{number:03}.{kind}"
            if kind == "parquet":
                parquet.write_table(part, path)
            else:
                path.write_text(csv_text([map(str, row.values()) for row in part.to_pylist()], table.column_names))
        (_, expected), (_, result) = score_both(engine, network_version(), folder, f"{folder}-out", workers=2)
        assert expected == result


def test_progress_and_next_version(engine, here):
    """All rows are reported, shard by shard. The runs of an engine share its Ray, also if their versions differ."""
    parquet.write_table(titles_table(2_000), here / "in.parquet")
    firsts = []
    for bias in (0.0, 100.0):
        rows = []
        score(simple_version(bias), "in.parquet", f"{bias}.parquet", engine=engine, on_rows=rows.append)
        assert 2_000 == sum(rows)
        assert max(rows) < 1_000
        firsts.append(earnings(here / f"{bias}.parquet")[0])
    assert 100.0 == firsts[1] - firsts[0]


@pytest.fixture
def halting(engine, here):
    """The engine, halted in the middle of its first shards."""
    parquet.write_table(titles_table(ROWS), here / "in.parquet")
    (here / "halt").mkdir()
    return HaltingEngine(engine, here / "halt")


@contextmanager
def scoring(engine):
    """Score in another thread while the body runs. Yields a future of the report."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(score, network_version(), "in.parquet", "out", engine=engine, workers=2)


def test_killed_worker(halting, here):
    """A worker that is killed in the middle of a shard costs only time."""
    score(network_version(), "in.parquet", "expected")
    with scoring(halting) as run:
        for pid in halting.wait():
            os.kill(pid, signal.SIGKILL)
        halting.release()
        run.result()
    assert read_result("expected") == read_result("out")


def test_listens_on_loopback_only(halting, home):
    """No process of a local Ray listens beyond 127.0.0.1 and ::1. Nothing is written to the home folder."""
    with scoring(halting) as run:
        try:
            pids = halting.wait()
            processes = list_descendants(os.getpid())
            assert set(pids) < set(processes)
            sockets = list_sockets(processes)
        finally:
            halting.release()
        run.result()
    assert len(sockets) > 5
    assert list(home.iterdir()) == []
    assert {address for address, _ in sockets} <= LOOPBACK


@pytest.mark.slow
def test_stop_leaves_nothing(halting, here):
    """When a run stops, its shards have stopped: nothing writes to the working folder afterwards."""
    interrupt = KeyboardInterrupt()

    def stop(rows):
        if rows:
            raise interrupt

    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(score, network_version(), "in.parquet", "out", engine=halting, on_rows=stop, workers=2)
        pids = halting.wait()
        halting.release()
        assert run.exception() is interrupt
    files = snapshot(here)
    assert not any(map(is_running, pids))
    time.sleep(0.2)
    assert files == snapshot(here)


@pytest.mark.slow
def test_rejects_limit(engine, here):
    """A run with too many rejects fails as in threads, and the rejects are kept."""
    rows = [csv_line(unit_price="free")] * 900 + [csv_line()] * 900
    (here / "bad.csv").write_text(csv_text(rows))
    for run in (run_shards, engine):
        with pytest.raises(TooManyRejectsError, match="of 1,800 rows were rejected, more than the 18 allowed"):
            score(simple_version(), "bad.csv", "out.csv", engine=run)
        assert not (here / "out.csv").exists()
        assert len(list(here.glob("out.csv.work/run-*/rejects.csv"))) == 1
        shutil.rmtree(here / "out.csv.work")


@pytest.mark.slow
def test_full_disk_of_worker(engine, here):
    """A full disk of a worker is explained as a full disk of this process."""
    parquet.write_table(titles_table(500), here / "in.parquet")
    full = failing_engine(engine, OSError(errno.ENOSPC, "No space left on device", "x"))
    with pytest.raises(TryAgainError, match=r"can't write out\.parquet: No space left on device"):
        score(simple_version(), "in.parquet", "out.parquet", engine=full)


SCORE = ("score", "in.parquet", "--output", "out", "--date", "2026-11-23", "--engine", "ray", "--workers", "2")


@pytest.fixture
def night(here, simple_registry):
    """A registry, titles for ten shards, and the files of their local result."""
    parquet.write_table(titles_table(ROWS), here / "in.parquet", row_group_size=100)
    done = gamesales(
        here, *SCORE[:3], "expected", *SCORE[4:6], first="shard_bounds.MIN_SHARD_ROWS = 400", small_steps=True
    )
    assert done.returncode == 0, done.stderr
    return read_result("expected")


def finish(here):
    """Run the same command again, and return its report."""
    process = start(here, *SCORE, "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_command_resumes(night, here, number):
    """A signal ends a run with all processes of its Ray. The same command resumes."""
    with halted(here, *SCORE) as process:
        processes = list_descendants(process.pid)
        process.send_signal(number)
        if number != signal.SIGKILL:
            assert number + 128 == process.wait(60)
            assert "interrupted; nothing is half written" in process.stderr.read()
            assert not any(is_running(pid) for pid in processes)
        wait_until(lambda: not any(is_running(pid) for pid in processes))
    report = finish(here)
    assert (2, 4_000) == (report["shards_resumed"], report["rows_scored"])
    assert night == read_result("out")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_lost_head_node(night, here, name):
    """A run ends with exit code 7 if the head node is lost. The same command resumes."""
    with halted(here, *SCORE, env={"RAY_gcs_rpc_server_reconnect_timeout_s": "3"}) as process:
        processes = list_descendants(process.pid)
        os.kill(find_process(processes, name), signal.SIGKILL)
        assert 7 == process.wait(60)
        assert "Ray ended during the run" in process.stderr.read()
        wait_until(lambda: not any(is_running(pid) for pid in processes))
    report = finish(here)
    assert (2, 4_000) == (report["shards_resumed"], report["rows_scored"])
    assert night == read_result("out")


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_close_while_starting(home, here, number):
    """A Ray that has started a number of its processes ends, and leaves no process and no file."""
    before = set(list_descendants(os.getpid()))
    with RayProcess(1, read_software):
        wait_until(lambda: len(set(list_descendants(os.getpid())) - before) >= number)
    assert set(list_descendants(os.getpid())) <= before
    assert list(home.iterdir()) == []


def test_error_of_plan(home, here, simple_registry):
    """An input that is missing ends a run, and the Ray that was starting."""
    before = set(list_descendants(os.getpid()))
    job = load_score_job(inputs=["in.parquet"], output="out", engine="ray")
    with pytest.raises(InputError, match=r"in\.parquet"):
        score_job(job, "registry", [date(2026, 11, 23)])
    assert set(list_descendants(os.getpid())) <= before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_while_starting(night, here, number):
    """A signal during the start of Ray ends all of its processes."""
    process = start(here, *SCORE)
    wait_until(lambda: len(list_descendants(process.pid)) > 2)
    processes = list_descendants(process.pid)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode in {number + 128, -number}
    wait_until(lambda: not any(is_running(pid) for pid in processes))
    assert not list(here.glob("out/run_date=*"))


def share(value, **changes):
    """A value as a worker gets it."""
    software = pickle.dumps((read_software, read_software()))
    shared = SharedValue(str(time.monotonic_ns()), str(Path.cwd()), {}, __version__, software, pickle.dumps(value))
    return replace(shared, **changes)


def run_in_worker(shared, function, *arguments):
    """The outcome of a call, as the caller gets it."""
    return pickle.loads(run_call(shared, pickle.dumps((function, arguments))))


def raise_error(shared, error):
    raise error


def test_outcomes_of_calls(here):
    """An error of a call is a value that keeps its class, message and hint. A bug keeps its traceback."""
    assert 1_000 == run_in_worker(share([1]), list.__len__) * 1_000
    error = run_in_worker(share(0), raise_error, InputError("row 7 is damaged", hint="Repair it"))
    assert (InputError, "row 7 is damaged", "Repair it") == (type(error), str(error), error.hint)
    error = run_in_worker(share(0), raise_error, PermissionError(errno.EACCES, "denied", "file"))
    assert (PermissionError, errno.EACCES, "file") == (type(error), error.errno, error.filename)
    error = run_in_worker(share(0), raise_error, ZeroDivisionError("a bug"))
    assert isinstance(error, RuntimeError)
    assert "in raise_error" in str(error)
    assert "ZeroDivisionError: a bug" in str(error)


def test_other_releases(here):
    """A worker with another release of a library does not unpickle the value. The message names both releases."""
    error = run_in_worker(share(0, release="0.0.1", software=b"", content=b""), list.__len__)
    assert isinstance(error, UsageError)
    assert f"on {socket.gethostname()} has gamesales {__version__}; expected gamesales 0.0.1," in str(error)
    software = pickle.dumps((read_software, {**read_software(), "pyarrow": "1.0"}))
    error = run_in_worker(share(0, software=software, content=b""), list.__len__)
    assert f"has pyarrow {pa.__version__}; expected pyarrow 1.0," in str(error)


def test_self_test_in_worker():
    """A scorer reproduces the golden rows when it is unpickled."""
    version = simple_version()
    scorer = ShardScorer(Plan((), pa.schema([]), (), (), "0"), version, 10)
    assert pickle.loads(pickle.dumps(scorer)).version.digest == version.digest
    golden = replace(version.golden, predictions=version.golden.predictions + 1)
    with pytest.raises(SelfTestError, match="golden row 1"):
        pickle.loads(pickle.dumps(replace(scorer, version=replace(version, golden=golden))))


def test_hidden_path(here):
    """A worker on another machine that can't see a file of the run names the file and the machine."""
    task = SimpleNamespace(local_paths=[here, here / "in.parquet"])
    with pytest.raises(UsageError, match=rf"on {socket.gethostname()} can't see {here}/in\.parquet"):
        score_task(None, "elsewhere", task)


@pytest.mark.parametrize("address", ["ray://10.0.0.1:10001", "http://10.0.0.1:8265"])
def test_address_of_another_kind(here, monkeypatch, address):
    """An address of another service of Ray is refused."""
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UsageError, match=r"RAY_ADDRESS expects .*, received " + address):
        RayProcess(1, read_software)


@pytest.mark.slow
def test_uncopied_error(engine, here):
    """An error of a worker that can't be copied to this process ends the run too."""
    task = SimpleNamespace(shard=SimpleNamespace(number=0))
    with pytest.raises(RuntimeError, match="the outcome of a task can't be read: TypeError"):
        list(engine([task], UncopiedScorer(), lambda *_: None, None, lambda _: None))


@pytest.mark.slow
def test_cluster_that_does_not_answer(here, monkeypatch):
    """A head node that does not answer is no fault of the command line."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with (
        RayProcess(1, read_software) as ray,
        pytest.raises(TryAgainError, match=r"can't connect to the Ray cluster at 127\.0\.0\.1:9: "),
    ):
        ray.share(0)


def test_missing_ray(here, monkeypatch):
    """Without Ray, the message says how to install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="--engine ray needs Ray") as caught:
        RayProcess(1, read_software)
    assert caught.value.hint.endswith("-m pip install 'gamesales[ray]'")


def test_broken_ray(here, monkeypatch):
    """A Ray that can't be imported is named with its error."""
    (here / "broken/ray").mkdir(parents=True)
    (here / "broken/ray/__init__.py").write_text("raise ImportError('libray.so is missing')")
    monkeypatch.syspath_prepend(here / "broken")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with (
        RayProcess(1, read_software) as ray,
        pytest.raises(TryAgainError, match=r"^can't start a local Ray: libray\.so is missing$"),
    ):
        ray.share(0)


def test_local_engine_loads_no_ray(here):
    """A local run loads nothing of Ray."""
    assert "ray" not in loaded_by(here, "import gamesales.cli.score, gamesales.jobs.score, gamesales.scoring.run")
