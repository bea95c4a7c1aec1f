"""The entry point: run a command, and turn every error into one line, a hint and an exit code."""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from gamesales.cli.commands import COMMON_OPTIONS, LIGHT, CommandGroup, load_command
from gamesales.cli.plain import parse_plain
from gamesales.cli.render import show_error, show_warnings
from gamesales.cli.terminal import allow_wide_lines
from gamesales.errors import (
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    GateRefusedError,
    TryAgainError,
    convert_error,
)


class _TerminatedError(BaseException):
    """SIGTERM arrived. Unwinding the stack removes temporary files."""

    exit_code = EXIT_TERMINATED


def run_and_exit() -> None:
    """Run the command line of this process and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that can't show a character must not stop a command
            stream.reconfigure(errors="backslashreplace")
    if sys.argv[1:2] and sys.argv[1] in LIGHT:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported
    _exit(run(sys.argv[1:]))


def _exit(code: int) -> NoReturn:
    """Exit without the teardown of the interpreter, which takes longer than scoring a thousand titles.

    Nothing is lost. The exit functions of all libraries run. Files, locks, temporary files, worker processes and the
    thread of the lease are closed by the ``with`` that opened them. A process with another thread ends as usual,
    because the interpreter waits for threads. So does a process that is measured or debugged: its data are written
    last.
    """
    if _is_watched() or threading.active_count() > 1:
        sys.exit(code)
    try:
        atexit._run_exitfuncs()  # noqa: SLF001
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:  # the output is not complete
        code = code or TryAgainError.exit_code
    os._exit(code)


def _is_watched() -> bool:
    """Return whether coverage, a profiler, a debugger or a developer watches this process."""
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12
    return bool(
        "coverage" in sys.modules
        or sys.gettrace()
        or sys.getprofile()
        or (monitoring and any(map(monitoring.get_tool, range(6))))
        or sys.flags.inspect
        or sys.flags.dev_mode
    )


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. The arguments are those after the name of the program."""
    with allow_wide_lines("--wide" in arguments):
        return _run_to_end(arguments)


def _run_to_end(arguments: Sequence[str]) -> int:
    """Run one command, turn an error into its exit code and show it."""
    as_json = "--json" in arguments
    wants_traceback = "--traceback" in arguments
    try:
        with show_warnings():
            code = _run_command([argument for argument in arguments if argument not in COMMON_OPTIONS])
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output is gone. Python must not report the rest of its buffer at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, _TerminatedError) as stop:
        show_error(
            "interrupted",
            "interrupted; nothing is half written",
            "Run the same command again; a scoring run or a search resumes",
            as_json=as_json,
        )
        return EXIT_TERMINATED if isinstance(stop, _TerminatedError) else EXIT_INTERRUPTED
    except Exception as error:
        if wants_traceback:
            traceback.print_exc()
        failure = convert_error(error)
        evidence = failure.evidence if isinstance(failure, GateRefusedError) else None
        show_error(failure.code, failure.message, failure.hint, as_json=as_json, evidence=evidence)
        return failure.exit_code
    return code


def _run_command(arguments: Sequence[str]) -> int:
    """Run a command with the arguments that a plain command line gives it, or let Typer parse the command line."""
    if (values := parse_plain(arguments)) is not None:
        command = load_command(arguments[0])
        assert not isinstance(command, CommandGroup)
        return command(**values) or 0
    from gamesales.cli.app import run_app

    return run_app(arguments)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _TerminatedError
