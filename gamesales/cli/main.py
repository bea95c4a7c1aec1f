"""The entry point: run a command, and turn every failure into one line, a hint and an exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from gamesales import __version__
from gamesales.cli.render import show_error
from gamesales.errors import GamesalesError, GateRefusedError, TryAgainError, UsageError

# The commands by the module that has them: of these, only that of the command which is run is loaded.
MODULES = {
    "train": ("train", "tune", "crossvalidate", "preprocess", "simulate"),
    "registry": ("versions", "show", "verify", "gc", "export"),
    "history": ("history", "compare"),
    "promote": ("evaluate", "promote", "rollback", "alias", "retire"),
    "score": ("score", "predict"),
    "backtest": ("backtest",),
}


def make_app(name: str | None = None) -> typer.Typer:
    """Make the command line, with one command if there is one of this name; Typer takes milliseconds for each."""
    app = typer.Typer(
        name="gamesales",
        help="What will each new title earn? Train, register, promote and score, in dollars.",
        epilog="Every command also takes --traceback, which shows where in the code a failure arose.",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_common)
    modules = [module for module, names in MODULES.items() if name in names] or MODULES
    commands = load_commands(modules)
    for command in [commands[name]] if name in commands else commands.values():
        if isinstance(command, Group):
            app.add_typer(command.make_app())
        else:
            app.command()(command)
    return app


def load_commands(modules: Iterable[str]) -> dict[str, Callable[..., None] | Group]:
    """Return the commands of some modules by their names."""
    loaded = [import_module(f"gamesales.cli.{module}") for module in modules]
    return {command.__name__: command for module in loaded for command in module.COMMANDS}


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"gamesales {__version__}")
        raise typer.Exit


def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the release and exit.")
    ] = False,
) -> None:
    """What will each new title earn? Train, register, promote and score, in dollars."""


# What the disk, the rights or the machine refuse now and may grant later.
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
# What is wrong with a path that was given.
_WRONG_PATH = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}


class _TerminatedError(BaseException):
    """SIGTERM arrived; unwinding removes what is half done."""

    exit_code = 143


def run_and_exit() -> None:
    """Run the command line of this process and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that can't show a character is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Args: arguments: what follows the program's name.
    """
    as_json = "--json" in arguments
    wants_traceback = "--traceback" in arguments
    try:
        code = _call([one for one in arguments if one != "--traceback"])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has had enough; what Python still holds for it must not be told at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, _TerminatedError, typer.Abort) as stop:
        code = 143 if isinstance(stop, _TerminatedError) else 130
        show_error(
            "interrupted",
            "interrupted; nothing is half written",
            "Run the same command again; a scoring run and a search go on where they stopped",
            as_json=as_json,
        )
        return code
    except Exception as error:
        if wants_traceback:
            traceback.print_exc()
        known = _known(error)
        if isinstance(error, TyperException) and not known.message:
            return known.exit_code  # no arguments at all: the help was shown instead
        evidence = known.evidence if isinstance(known, GateRefusedError) else None
        show_error(known.code, known.message, known.hint, as_json=as_json, evidence=evidence)
        return known.exit_code
    return code


def _call(arguments: Sequence[str]) -> int:
    # Without standalone mode a command's exit code comes back as a number, and failures come through;
    # but Typer makes a number of Ctrl-C too.
    app = make_app(arguments[0] if arguments else None)
    try:
        code = app(arguments, prog_name="gamesales", standalone_mode=False)
    except SystemExit as leaving:  # Typer's own way out, with code 1, when nobody reads what a command prints
        raise BrokenPipeError from leaving
    if code == 130:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _known(error: Exception) -> GamesalesError:
    """Bring any failure under the exception tree."""
    if isinstance(error, GamesalesError):
        return error
    if isinstance(error, TyperException):
        return UsageError(error.format_message(), hint="See: gamesales --help, or gamesales COMMAND --help")
    if isinstance(error, MemoryError):
        return TryAgainError("the machine has no memory left for this", hint="Free some, then run it again")
    if isinstance(error, OSError) and error.errno in _TRANSIENT:
        where = f"{error.filename}: " if error.filename else ""
        return TryAgainError(
            f"{where}{os.strerror(error.errno or 0)}",
            hint="Check the disk's space and your permissions, then run it again",
        )
    if isinstance(error, OSError) and error.errno in _WRONG_PATH:
        return UsageError(f"{error.filename or 'a path'}: {os.strerror(error.errno or 0)}", hint="Give another path")
    if isinstance(error, ModuleNotFoundError):
        return UsageError(
            f"{error.name} is not installed; this command needs the train extra",
            hint="In the checkout of gamesales: make install",
        )
    return GamesalesError(
        f"a fault of gamesales: {type(error).__name__}: {' '.join(str(error).split())[:500]}",
        hint="Run it again with --traceback and report what it shows",
    )


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _TerminatedError


@dataclass(frozen=True)
class Group:
    """Several commands, and the name and the sentence that they share."""

    name: str
    about: str
    commands: Mapping[str, Callable[..., None]]

    @property
    def __name__(self) -> str:
        return self.name

    def make_app(self) -> typer.Typer:
        """Make the command line of the group; Typer takes milliseconds for each command."""
        app = typer.Typer(name=self.name, help=self.about, no_args_is_help=True, pretty_exceptions_enable=False)
        for name, command in self.commands.items():
            app.command(name)(command)
        return app
