"""Runs on a local Ray: a scorer that halts in a worker process, and the processes of a Ray."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.runs import wait_until
from support.versions import ROOT


@dataclass(frozen=True)
class HaltingScorer:
    """Scores as another scorer, but shards from a number on make a file ``begun-<pid>`` and wait for a file ``go``."""

    scorer: Any
    folder: Path
    first: int = 0

    def score(self, task, on_rows):
        def halt(rows):
            if task.shard.number >= self.first and not (self.folder / "go").exists():
                (self.folder / f"begun-{os.getpid()}").touch()
                while not (self.folder / "go").exists():
                    time.sleep(0.01)
            on_rows(rows)

        return self.scorer.score(task, halt)


@dataclass(frozen=True)
class FailingScorer:
    """Scores no shard."""

    error: Exception

    def score(self, task, on_rows):
        raise self.error


class UncopiedError(OSError):
    """An error of which a pickle can be written, but not read."""

    def __init__(self, path, reason):
        super().__init__(reason)


@dataclass(frozen=True)
class UncopiedScorer:
    """Fails with an error that can't be copied to another process."""

    def score(self, task, on_rows):
        raise UncopiedError(task, "denied")


def failing_engine(engine, error):
    """An engine whose workers fail with an error."""
    return lambda tasks, scorer, *others: engine(tasks, FailingScorer(error), *others)


class HaltingEngine:
    """An engine whose workers halt in the middle of their first shard, until ``release``.

    Args:
        engine: a ``RayEngine``.
        folder: for the files of the workers.
    """

    def __init__(self, engine, folder):
        self.engine, self.folder = engine, folder

    def __call__(self, tasks, scorer, finish, workers, on_rows):
        yield from self.engine(tasks, HaltingScorer(scorer, self.folder), finish, workers, on_rows)

    def wait(self):
        """Wait until a worker is halted, and return the pids of all halted workers."""
        wait_until(lambda: list(self.folder.glob("begun-*")))
        return [int(path.name.removeprefix("begun-")) for path in self.folder.glob("begun-*")]

    def release(self):
        (self.folder / "go").touch()


# A command line with shards of 400 rows, whose workers halt from the third shard on.
HALTING = """
from pathlib import Path
from gamesales.scoring import shard_bounds
from gamesales.scoring.engines.ray_engine import RayEngine
from gamesales.cli import main
from support.ray_runs import HaltingScorer
shard_bounds.MIN_SHARD_ROWS = 400
run = RayEngine.__call__
RayEngine.__call__ = lambda self, tasks, scorer, *rest: run(self, tasks, HaltingScorer(scorer, Path.cwd(), 2), *rest)
main()
"""


def start(folder, *arguments, env=None):
    """Start this command line in a folder, with text pipes."""
    environment = {**os.environ, **(env or {}), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", HALTING, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


@contextmanager
def halted(folder, *arguments, env=None):
    """Run a command line in a folder until two shards are in the ledger and two workers are halted.

    Yields: the process, which is killed at the end if it is still running. Then its workers may go on.
    """
    (folder / "go").unlink(missing_ok=True)
    process = start(folder, *arguments, env=env)
    try:
        wait_until(lambda: len(list(folder.rglob("ledger/*.json"))) == 2 or process.poll() is not None)
        wait_until(lambda: len(list(folder.glob("begun-*"))) == 2 or process.poll() is not None)
        assert process.poll() is None, process.stderr.read()
        yield process
    finally:
        (folder / "go").touch()
        process.kill()
        process.communicate()
        for path in folder.glob("begun-*"):
            path.unlink()


def read_parents():
    """The parent of each process of this machine, by pid."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
    return parents


def list_descendants(pid):
    """The pids of all processes below a process."""
    parents = read_parents()
    children = [child for child, parent in parents.items() if parent == pid]
    return [*children, *(below for child in children for below in list_descendants(child))]


def is_running(pid):
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def find_process(pids, name):
    """The pid of the process with a command line that contains a name."""
    (pid,) = [pid for pid in pids if name in Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[0]]
    return pid


def list_sockets(pids):
    """The addresses and ports of TCP sockets that listen and of UDP sockets, of some processes, as in /proc/net."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(link.readlink()))
            except OSError:
                continue
    addresses = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in inodes and (fields[3] == "0A" or table.startswith("udp")):
                addresses.add(tuple(fields[1].split(":")))
    return addresses
