"""The entry point: run a command, and turn every error into one line, a hint and an exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from gamesales import __version__
from gamesales.cli.render import show_error, show_warnings
from gamesales.errors import (
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    GamesalesError,
    GateRefusedError,
    TryAgainError,
    UsageError,
)

# Each module of the package and its commands. A process loads only the module of its command.
MODULES = {
    "train": ("train", "tune", "crossvalidate", "preprocess", "simulate"),
    "registry": ("versions", "show", "verify", "gc", "export"),
    "history": ("history", "compare"),
    "promote": ("evaluate", "promote", "rollback", "alias", "retire"),
    "score": ("score", "predict"),
    "backtest": ("backtest",),
}
ABOUT = "Train, register, promote and score models of game sales, with earnings in US dollars."

# The disk, the permissions or the machine refuse now, and may not refuse later.
_TRANSIENT = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EFBIG,
    errno.ENOLCK,
    errno.EBUSY,
    errno.ESTALE,
}
# The path of an argument is wrong.
_WRONG_PATH = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}


class _TerminatedError(BaseException):
    """SIGTERM arrived. Unwinding the stack removes temporary files."""

    exit_code = EXIT_TERMINATED


def run_and_exit() -> None:
    """Run the command line of this process and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that can't show a character must not stop a command
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. The arguments are those after the name of the program."""
    as_json = "--json" in arguments
    wants_traceback = "--traceback" in arguments
    try:
        with show_warnings():
            code = _run_app([argument for argument in arguments if argument != "--traceback"])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output is gone. Python must not report the rest of its buffer at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, _TerminatedError, typer.Abort) as stop:
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
        failure = _to_gamesales_error(error)
        if isinstance(error, TyperException) and not failure.message:
            return failure.exit_code  # no arguments: Typer has shown the help
        evidence = failure.evidence if isinstance(failure, GateRefusedError) else None
        show_error(failure.code, failure.message, failure.hint, as_json=as_json, evidence=evidence)
        return failure.exit_code
    return code


def _run_app(arguments: Sequence[str]) -> int:
    # Without standalone mode Typer returns the exit code of a command and lets errors through,
    # but it turns Ctrl-C into an exit code too.
    app = make_app(arguments[0] if arguments else None)
    try:
        code = app(arguments, prog_name="gamesales", standalone_mode=False)
    except SystemExit as leaving:  # Typer exits with code 1 if the reader of stdout is gone
        raise BrokenPipeError from leaving
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _to_gamesales_error(error: Exception) -> GamesalesError:
    """Convert any error to an error of the tree."""
    if isinstance(error, GamesalesError):
        return error
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        return UsageError(
            error.format_message(), hint=f"See: {context.command_path if context else 'gamesales'} --help"
        )
    if isinstance(error, MemoryError):
        return TryAgainError("the machine is out of memory", hint="Free some memory, then run the command again")
    if isinstance(error, OSError) and error.errno in _TRANSIENT:
        where = f"{error.filename}: " if error.filename else ""
        return TryAgainError(
            f"{where}{os.strerror(error.errno or 0)}",
            hint="Check the disk's space and your permissions, then run the command again",
        )
    if isinstance(error, OSError) and error.errno in _WRONG_PATH:
        return UsageError(f"{error.filename or 'a path'}: {os.strerror(error.errno or 0)}", hint="Give another path")
    if isinstance(error, ModuleNotFoundError):
        return UsageError(
            f"{error.name} is not installed; this command needs the train extra",
            hint="In the checkout of gamesales: make install",
        )
    return GamesalesError(
        f"a bug in gamesales: {type(error).__name__}: {' '.join(str(error).split())[:500]}",
        hint="Run the command again with --traceback and report what it shows",
    )


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _TerminatedError


def make_app(name: str | None = None) -> typer.Typer:
    """Make the command line. With the name of a command, add this command only: Typer takes milliseconds for each."""
    app = typer.Typer(
        name="gamesales",
        help=ABOUT,
        epilog="Every command also takes --traceback, which shows where in the code an error arose.",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback(help=ABOUT)(_add_common_options)
    module_of = {command: module for module, commands in MODULES.items() for command in commands}
    for command_name in [name] if name in module_of else module_of:
        command = getattr(import_module(f"gamesales.cli.{module_of[command_name]}"), command_name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=command_name)
        else:
            app.command()(command)
    return app


def _show_version(is_requested: bool) -> None:
    if is_requested:
        print(f"gamesales {__version__}")
        raise typer.Exit


def _add_common_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the release and exit.")
    ] = False,
) -> None:
    """Add the options of the program itself."""
