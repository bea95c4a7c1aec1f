"""Worker processes: results, exceptions, killed workers, and that no worker outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gamesales.errors import InputError, TryAgainError
from gamesales.training.workers import open_workers


def add(left, right):
    return left + right


def fail(error):
    os.write(1, b"what a library prints is no result\n")
    raise error


def get_pid():
    return os.getpid()


@pytest.mark.parametrize("workers", [0, 2])
def test_results_and_exceptions(workers):
    """A call returns its result or raises its exception, in a worker and in this process."""
    with open_workers(workers) as submit:
        calls = [submit(add, number, 1) for number in range(5)]
        assert [1, 2, 3, 4, 5] == [call.result() for call in calls]
        with pytest.raises(InputError, match="no titles"):
            submit(fail, InputError("no titles")).result()
        with pytest.raises(RuntimeError if workers else ZeroDivisionError, match="Traceback" if workers else "zero"):
            submit(fail, ZeroDivisionError("zero")).result()
        assert (os.getpid() == submit(get_pid).result()) == (workers == 0)


def test_calls_without_workers_are_late():
    """Without workers, a call runs once, when its result is needed."""
    calls = []
    with open_workers(0) as submit:
        call = submit(calls.append, 1)
        assert call.cancel()
        assert [] == calls
        call.result()
        call.result()
        assert [1] == calls
        assert not call.cancel()


def test_running_calls_are_dropped():
    """At the end, calls that still run are killed with their workers."""
    started = time.monotonic()
    with open_workers(1) as submit:
        pid = submit(get_pid).result()
        calls = [submit(time.sleep, 600) for _ in range(2)]
    assert time.monotonic() - started < 60
    assert calls[1].cancelled()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_killed_worker():
    """A worker that is killed is an error to try again."""
    with open_workers(1) as submit:
        pid, call = submit(get_pid).result(), submit(time.sleep, 600)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(TryAgainError, match="a worker process of the training was killed"):
            call.result()
        with pytest.raises(TryAgainError):
            submit(get_pid).result()


def test_worker_ends_with_parent(tmp_path):
    """A worker ends in the middle of a call when its parent is killed."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from gamesales.training.workers import open_workers\n"
        "with open_workers(1) as submit:\n"
        "    print(submit(os.getpid).result(), flush=True)\n"
        "    submit(time.sleep, 600).result()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
