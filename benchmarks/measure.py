"""Measure the time, the CPU time and the peak memory of commands, in rounds.

CPU seconds come from ``wait4``, which adds up the process and all descendants that were waited for. Ray and Spark do
not wait for theirs, so the seconds of all processes are also sampled, and the larger sum counts. Memory is sampled: for
a single process the high-water mark of the kernel (VmHWM), for several processes the sum of their proportional shares
(PSS). ``ru_maxrss`` would be wrong, because a child inherits the size of the process that forked it.

Cells are measured in rounds. Each round has every cell once, so that slow minutes affect all cells alike.
No run is dropped, and there is no warm-up round: the check of every contender warms the caches before it is timed.
"""

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
INTERVAL_S = 0.02
TIMEOUT_S = 3_600.0
MACHINE_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
MAX_BYTES = MACHINE_BYTES * 4 // 5
Run = dict[str, Any]
Skipped = dict[str, str]
ROUNDS, MIN_ROUNDS = 6, 2
# A cell whose first run takes longer is measured in MIN_ROUNDS rounds, or even once.
LONG_S, VERY_LONG_S = 20.0, 60.0


@dataclass(frozen=True)
class Measurement:
    """The costs of a command. ``peak_bytes`` is None without /proc, ``failure`` is None if the command succeeded."""

    wall_s: float
    cpu_s: float
    peak_bytes: int | None = None
    failure: str | None = None
    answer: Any = None


def call_python(module: str, function: str, *arguments: object, python: object = sys.executable) -> list[str]:
    """Return the command that calls a function of a module in a new process; all arguments are passed as text.

    If the function returns a value, ``measure`` returns it as the answer.
    """
    code = f"import sys; from {module} import {function}; answer = {function}(*sys.argv[1:])\n"
    code += "if answer is not None: import json, os; open(os.environ['ANSWER'], 'w').write(json.dumps(answer))"
    return [str(python), "-c", code, *map(str, arguments)]


def measure(command: Sequence[str], timeout_s: float = TIMEOUT_S) -> Measurement:
    """Run a command at the top of the checkout, discard its output, and measure it.

    Its process group is killed after ``timeout_s`` seconds, and above four fifths of the memory of the machine.
    """
    # Compiled modules may be kept, as usual: a checkout would otherwise be compiled again in every run.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    nothing = subprocess.DEVNULL
    with tempfile.TemporaryFile("w+", errors="replace") as errors, tempfile.NamedTemporaryFile() as answer:
        variables |= {"ORT_DISABLE_TELEMETRY": "1", "ANSWER": answer.name}
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=nothing, stdout=nothing, stderr=errors, start_new_session=True, cwd=ROOT, env=variables
        )
        sampler = _Sampler(process.pid, timeout_s)
        sampler.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - started
        finally:
            sampler.ended.set()
            sampler.join()
            _kill_group(process.pid)  # leftover processes would disturb the next measurement
        process.returncode = os.waitstatus_to_exitcode(status)
        failure = sampler.reason or None
        if failure is None and process.returncode:
            errors.seek(0)
            lines = errors.read().strip().splitlines() or ["no message"]
            failure = f"exit code {process.returncode}: {lines[-1][:300]}"
        value = json.loads(answer.read() or "null")
    cpu_s = max(usage.ru_utime + usage.ru_stime, sum(sampler.cpu_s.values()))
    return Measurement(wall_s, cpu_s, sampler.peak or None, failure, value)


class _Sampler(threading.Thread):
    """Samples the CPU seconds and the memory of a process tree, and kills the tree above a limit."""

    def __init__(self, pid: int, timeout_s: float) -> None:
        super().__init__(daemon=True)
        self.pid, self.timeout_s = pid, timeout_s
        self.peak, self.reason, self.ended = 0, "", threading.Event()
        self.cpu_s: dict[int, float] = {}

    def run(self) -> None:
        began, wait_s = time.perf_counter(), 0.0
        while not (self.reason or self.ended.wait(wait_s)):
            started = time.perf_counter()
            tree = _list_tree(self.pid)
            size = _read_memory(tree)
            self.peak = max(self.peak, size)
            self.cpu_s |= {pid: seconds for pid in tree if (seconds := _read_cpu_seconds(pid))}
            if started - began > self.timeout_s:
                self.reason = f"stopped after {self.timeout_s:g} s"
            elif size > MAX_BYTES:
                self.reason = f"stopped above {MAX_BYTES / 1e9:.1f} GB of memory"
            # Reading PSS halts a process, so sampling takes a twentieth of the time at most.
            wait_s = max(INTERVAL_S, 20 * (time.perf_counter() - started))
        if self.reason:
            _kill_group(self.pid)


def _list_tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    tree = [pid]
    for parent in tree:
        try:
            children = [task.joinpath("children").read_text() for task in Path(f"/proc/{parent}/task").iterdir()]
        except OSError:
            continue
        tree += [int(child) for line in children for child in line.split()]
    return tree


def _read_memory(tree: Sequence[int]) -> int:
    """Return the bytes of processes, 0 if they have ended or if there is no /proc."""
    if len(tree) == 1:
        return _read_field(tree[0], "status", "VmHWM")
    return sum(_read_field(process, "smaps_rollup", "Pss") for process in tree)


def _read_cpu_seconds(pid: int) -> float:
    """Return the seconds of a process without its children, 0 if it has ended or if there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _read_field(pid: int, file: str, name: str) -> int:
    """Read a size in bytes from a file of /proc."""
    try:
        match = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(match[1]) * 1024 if match else 0


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Cell:
    """One measurement: a contender on a case.

    ``command`` makes the command of a round and prepares for it; its answer is kept with the run.
    ``find_fault`` returns what is wrong with the output, or None.
    """

    contender: str
    case: str
    rows: int
    command: Callable[[int], list[str]]
    find_fault: Callable[[], str | None] = lambda: None


def measure_rounds(
    cells: Sequence[Cell], rounds: int | None = None, deadline: float = math.inf
) -> tuple[list[Run], list[Skipped]]:
    """Measure cells in rounds; return the runs, and the cells that failed and are not measured again.

    Each round starts at another cell. Slow cells have fewer rounds, unless ``rounds`` sets their number. After the
    second round, no round begins that would end after ``deadline``, a time of ``time.monotonic``.
    """
    runs, failed, limits, round_s = [], [], [rounds or ROUNDS] * len(cells), 0.0
    for number in range(rounds or ROUNDS):
        began = time.monotonic()
        if number >= MIN_ROUNDS and began + round_s > deadline:
            break
        order = [place for place, limit in enumerate(limits) if limit > number]
        start = number * len(order) // (rounds or ROUNDS)
        for done, place in enumerate([*order[start:], *order[:start]], 1):
            cell = cells[place]
            measurement = measure(cell.command(number))
            fault = measurement.failure or cell.find_fault()
            case = cell.case + (f", {cell.rows:,} rows" if cell.rows > 1 else "")
            outcome = fault or f"{measurement.wall_s:.2f} s"
            print_progress(f"  round {number + 1}, {done} of {len(order)}: {cell.contender}, {case}: {outcome}")
            if fault:
                failed.append({"contender": cell.contender, "what": case, "reason": fault})
                limits[place] = 0
                continue
            run = {"contender": cell.contender, "case": cell.case, "rows": cell.rows, "round": number}
            run |= {"wall_s": round(measurement.wall_s, 4), "cpu_s": round(measurement.cpu_s, 4)}
            answer = {"answer": measurement.answer} if measurement.answer else {}
            runs.append({**run, "peak_bytes": measurement.peak_bytes, **answer})
            if number == 0 and rounds is None:
                wall_s = measurement.wall_s
                limits[place] = ROUNDS if wall_s < LONG_S else MIN_ROUNDS if wall_s < VERY_LONG_S else 1
        round_s = time.monotonic() - began
    return runs, failed


def print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
