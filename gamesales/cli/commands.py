"""The commands: the module of each, and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import NamedTuple, cast

# Each module of the package and its commands. A process loads only the module of its command.
MODULES = {
    "init": ("init", "contract"),
    "train": ("train", "tune", "crossvalidate", "preprocess", "simulate"),
    "registry": ("versions", "show", "verify", "gc"),
    "export": ("export", "copy"),
    "history": ("history", "compare"),
    "promote": ("evaluate", "promote", "rollback", "alias", "retire"),
    "sign": ("sign", "policy"),
    "score": ("score", "predict"),
    "runs": ("runs",),
    "report": ("report",),
    "backtest": ("backtest",),
    "vacuum": ("vacuum",),
}
MODULE_OF = {command: module for module, commands in MODULES.items() for command in commands}
# The list of commands in the help of the program, by topic.
TOPICS = {
    "Start": ("init", "contract"),
    "Train": ("train", "tune", "crossvalidate", "simulate", "preprocess"),
    "Compare and promote": ("evaluate", "compare", "promote", "rollback", "alias", "retire", "sign", "policy"),
    "Score": ("score", "predict", "runs", "report", "backtest", "vacuum"),
    "Look after the registry": ("versions", "show", "history", "verify", "gc", "copy", "export"),
}
# Commands that need no matrix product of many rows. They start faster without the threads of NumPy's OpenBLAS.
LIGHT = {
    "score",
    "predict",
    "versions",
    "show",
    "verify",
    "history",
    "compare",
    "rollback",
    "alias",
    "retire",
    "gc",
    "copy",
    "sign",
    "vacuum",
    "runs",
    "report",
}
# Options of every command, which are removed before it parses its own.
COMMON_OPTIONS = {
    "--wide": "Show all columns of tables, also if they do not fit the terminal.",
    "--traceback": "Show where in the code an error arose.",
}
# A command returns its exit code. None is 0.
Command = Callable[..., int | None]


class CommandGroup(NamedTuple):
    """A command that consists of commands."""

    about: str
    commands: Mapping[str, Command]


def load_command(name: str) -> Command | CommandGroup:
    """Import the module of a command."""
    return cast("Command | CommandGroup", getattr(import_module(f"gamesales.cli.{MODULE_OF[name]}"), name))
