"""Parse plain command lines without Typer, whose import takes longer than scoring a thousand titles.

Typer defines the command line. ``plain_table.py`` lists the options of each command, and ``make docs`` derives it from
Typer's own parameters. A plain command line is valid for certain: its options are written in full, each at most once,
and their values need no check. Typer parses all other command lines. It reports mistakes and writes the help.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gamesales.cli.plain_table import TABLE

# Typer prints completions for a shell that sets this variable.
COMPLETION_VARIABLE = "_GAMESALES_COMPLETE"
_COUNT = re.compile("[1-9][0-9]{0,8}")


class _NotPlainError(Exception):
    """Typer must parse the command line."""


def parse_plain(words: Sequence[str]) -> dict[str, Any] | None:
    """Parse a command line.

    Args:
        words: The words after the name of the program.

    Returns:
        The arguments for the function of the command, without those that have their default. None if Typer must parse
        the command line.
    """
    if not words or words[0] not in TABLE or COMPLETION_VARIABLE in os.environ:
        return None
    table = TABLE[words[0]]
    values: dict[str, Any] = {}
    names = iter(table["arguments"].items())
    name, kind = "", ""
    rest = iter(words[1:])
    try:
        for word in rest:
            if word != "-" and word.startswith("-"):
                _add_option(values, table["options"], word, rest)
            else:
                if kind != "texts":  # only the last argument takes several words
                    name, kind = next(names, ("", ""))
                _add(values, name, kind, word)
        for option, (variable, form) in table["variables"].items():
            if option not in values and (text := os.environ.get(variable)):
                _add(values, option, form, text)
    except _NotPlainError:
        return None
    return values if values.keys() >= set(table["required"]) else None


def _add_option(values: dict[str, Any], options: Mapping[str, tuple[str, str]], word: str, rest: Iterator[str]) -> None:
    """Add the value of an option, which is in its word or in the next word."""
    option, has_value, text = word.partition("=")
    name, kind = options.get(option, ("", ""))
    if kind == "flag" and not has_value and name not in values:
        values[name] = True
    else:
        _add(values, name, kind, text if has_value else next(rest, ""))


def _add(values: dict[str, Any], name: str, kind: str, text: str) -> None:
    """Add the value of an option or argument."""
    value = _convert(text, kind)
    if kind == "texts":
        values.setdefault(name, []).append(value)
    elif name not in values:
        values[name] = value
    else:
        raise _NotPlainError


def _convert(text: str, kind: str) -> str | int | Path:
    """Convert a word. Without a kind, Typer does not have this option or argument."""
    if kind == "count" and _COUNT.fullmatch(text):
        return int(text)
    if text and (text == "-" or not text.startswith("-")):
        if kind in ("text", "texts"):
            return text
        if kind == "path" and (os.access(text, os.R_OK) or not os.access(text, os.F_OK)):
            return Path(text)
    raise _NotPlainError
