"""Run the hooks of a scoring job, ``on_success`` and ``on_failure``: programs that are started after a run.

A hook is an argument list and runs without a shell. It reads the document of the run on standard input, and it is
killed after a timeout. A hook never changes the exit code of the run: its own failure is a warning.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from threading import Thread
from typing import Any

from gamesales.errors import GamesalesError, warn
from gamesales.old_keys import add_old_keys
from gamesales.report.format import format_count
from gamesales.scoring.run_report import RunReport

OnLine = Callable[[str], None]

# A longer line of a hook's output is cut into several lines.
_LONGEST_LINE = 8192
# How long the last output is awaited after a hook has ended: a program that it left behind may keep the pipe open.
_OUTPUT_SECONDS = 1.0


def describe_run(report: RunReport, exit_code: int, explanation: str = "") -> dict[str, Any]:
    """Return the document of a run for its hook.

    Args:
        report: The report of the run.
        exit_code: Of the run.
        explanation: Why the exit code is not 0.

    Returns:
        The keys of ``score --json``, with ``exit_code`` and a ``message`` for people.
    """
    scored = (
        f"{report.rows_scored:,} of {format_count(report.rows_in, 'title')} scored by version {report.model_version}"
    )
    return {"exit_code": exit_code, "message": explanation or scored, **add_old_keys(asdict(report))}


def describe_failure(failure: GamesalesError, model: str, day: date, output: str) -> dict[str, Any]:
    """Return the document of a run that failed: its exit code and message, and the ``error`` of ``--json``."""
    return {
        "exit_code": failure.exit_code,
        "message": failure.message,
        "model": model,
        "run_date": day.isoformat(),
        "output": output,
        "error": {"code": failure.code, "message": failure.message, "hint": failure.hint},
    }


def run_hook(name: str, command: Sequence[str], document: Mapping[str, Any], timeout: float, on_line: OnLine) -> None:
    """Run a hook to its end, or kill it after the timeout. A hook that fails is a warning.

    Args:
        name: ``on_success`` or ``on_failure``, for messages.
        command: The program and its arguments.
        document: What the hook reads as JSON.
        timeout: In seconds.
        on_line: Called with each line that the hook prints, after the name of the hook.
    """
    try:
        # Unbuffered, because a thread that still waits for a buffer would stop the interpreter at its end.
        process = subprocess.Popen(  # noqa: S603 - the job names the program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a null character
        warn(f"{name} can't start {command[0]!r}: {getattr(error, 'strerror', None) or error}")
        return
    text = json.dumps(document, ensure_ascii=False).encode(errors="replace")
    writer = Thread(target=_write, args=(process.stdin, text), daemon=True)
    reader = Thread(target=_forward_lines, args=(process.stdout, f"{name}: ", on_line), daemon=True)
    writer.start()
    reader.start()
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        warn(f"{name} was killed, because it did not end within {timeout:g} s: {command[0]}")
        return
    finally:
        if process.returncode is None:
            _kill_session(process)
        reader.join(_OUTPUT_SECONDS)
    if code:
        warn(f"{name} ended with exit code {code}: {command[0]}")


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a hook with all programs that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _write(stream: io.FileIO, text: bytes) -> None:
    """Write a document. A hook need not read it."""
    with suppress(OSError), stream:
        rest = memoryview(text)
        while rest:
            rest = rest[stream.write(rest) :]


def _forward_lines(stream: io.FileIO, prefix: str, on_line: OnLine) -> None:
    """Call ``on_line`` with each line of a stream, after a prefix."""
    rest = b""
    with stream:
        while chunk := stream.read(_LONGEST_LINE):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) >= _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            _show_lines(lines, prefix, on_line)
    _show_lines([rest] if rest else [], prefix, on_line)


def _show_lines(lines: Sequence[bytes], prefix: str, on_line: OnLine) -> None:
    for line in lines:
        with suppress(OSError):  # the reader of our output is gone
            on_line(prefix + line.decode(errors="replace").rstrip("\r"))
