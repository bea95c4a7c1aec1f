"""Run one command and measure it: seconds, CPU seconds and peak memory of it and all its descendants.

CPU seconds come from ``wait4``: the kernel adds up the process and every descendant that was waited for.

Memory is sampled, less and less often, so that on a machine with few cores the samples don't slow down what they
measure. Of a single process the kernel's own high-water mark is read (``VmHWM``), which misses only what
grows after the last sample. Of several, the sum of their proportional shares (PSS) counts, so that pages which
they share count once; as reading PSS holds the processes up, it may take a twentieth of the time at most.
(``ru_maxrss`` is of no use: a child inherits the size of the process that forked it.)
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

INTERVAL, LONGEST_INTERVAL = 0.01, 0.25
_SHARE_OF_TIME = 1 / 20
# How late a sample may be, as a share of the time so far.
_LATE = 1 / 50


@dataclass(frozen=True)
class Measured:
    """What a command took; ``peak_bytes`` is None where there is no /proc."""

    wall_s: float
    cpu_s: float
    peak_bytes: int | None
    exit_code: int
    stopped: str | None
    stderr: str

    @property
    def failure(self) -> str | None:
        """Why it can't be counted, in one line; None if it did its work."""
        if self.stopped:
            return f"stopped: {self.stopped}"
        if self.exit_code:
            lines = self.stderr.strip().splitlines() or ["it said nothing"]
            return f"exit code {self.exit_code}: {lines[-1][:300]}"
        return None


def _usual() -> dict[str, str]:
    """Return this process's environment, in which Python may keep the modules that it compiles, as users let it.

    Installed libraries come compiled; a checkout alone would be compiled anew in every run.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure(
    command: Sequence[str],
    *,
    timeout: float = 3_600.0,
    memory_limit: int | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Measured:
    """Run a command in a session of its own, throw its output away, and measure it.

    Args:
        command: the program and its arguments.
        timeout: seconds, after which the whole group is killed.
        memory_limit: bytes, beyond which it is killed too; four fifths of the machine's memory by default.
        folder: where to run it; here by default.
        environment: variables to add to those of this process.
    """
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            cwd=folder,
            # For all alike: what a library reports of its use is no part of the work.
            env={**_usual(), "ORT_DISABLE_TELEMETRY": "1", **(environment or {})},
        )
        watch = _Watch(process.pid, timeout, memory_limit or _machine_memory() * 4 // 5)
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
        finally:
            watch.stop()
            _kill_group(process.pid)  # nothing that it left behind may disturb the next one
        process.returncode = os.waitstatus_to_exitcode(status)
        return Measured(
            wall_s=wall,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_bytes=watch.peak,
            exit_code=process.returncode,
            stopped=watch.reason,
            stderr=_tail(errors),
        )


class _Watch(threading.Thread):
    """Samples the memory of a process tree, and kills it beyond a limit; ``peak`` is in bytes, None if unseen."""

    def __init__(self, pid: int, most_seconds: float, most_bytes: int) -> None:
        super().__init__(daemon=True)
        self.peak: int | None = None
        self.reason: str | None = None
        self._pid, self._most_seconds, self._most_bytes = pid, most_seconds, most_bytes
        self._over = threading.Event()

    def run(self) -> None:
        begun, wait = time.perf_counter(), 0.0
        while self.reason is None and not self._over.wait(wait):
            started = time.perf_counter()
            found = tree_memory(self._pid)
            if found:
                self.peak = max(self.peak or 0, found)
            if started - begun > self._most_seconds:
                self._kill(f"it took more than {self._most_seconds:g} s")
            elif found > self._most_bytes:
                self._kill(f"it held more than {self._most_bytes / 1e9:.1f} GB")
            now = time.perf_counter()
            wait = until_next_sample(now - begun, now - started)

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _kill(self, reason: str) -> None:
        self.reason = reason
        _kill_group(self._pid)


def until_next_sample(elapsed_s: float, sample_s: float) -> float:
    """Return how many seconds to wait, from how long a program runs and how long the last sample took."""
    rare = min(elapsed_s * _LATE, LONGEST_INTERVAL)
    return max(rare, INTERVAL, sample_s / _SHARE_OF_TIME)


def tree_memory(pid: int) -> int:
    """Return the bytes that a process and its descendants hold, 0 if they are gone or there is no /proc."""
    tree = process_tree(pid)
    if len(tree) == 1:
        return _field(Path(f"/proc/{pid}/status"), "VmHWM")
    return sum(
        _field(Path(f"/proc/{one}/smaps_rollup"), "Pss") or _field(Path(f"/proc/{one}/status"), "VmRSS") for one in tree
    )


def process_tree(pid: int) -> list[int]:
    """Return a process and its descendants; those that end meanwhile may be missing."""
    tree = [pid]
    for one in tree:
        try:
            children = [task.joinpath("children").read_text() for task in Path(f"/proc/{one}/task").iterdir()]
        except OSError:
            continue
        tree += [int(child) for line in children for child in line.split()]
    return tree


def _field(path: Path, name: str) -> int:
    """Read a size from a file of /proc, in bytes."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _tail(file: BinaryIO, most: int = 4_000) -> str:
    """Return the end of what a program complained of."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - most))
    return file.read().decode("utf-8", "replace")
