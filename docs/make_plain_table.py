"""Write gamesales/cli/plain_table.py, the options of plain command lines, from Typer's own parameters.

    make docs

A test compares the file with what this script would write, so it can't fall behind.
"""

from __future__ import annotations

import json
from pathlib import Path
from pprint import pformat

import typer

from gamesales.cli.app import make_app

FILE = Path(__file__).parents[1] / "gamesales/cli/plain_table.py"
HEADER = '''"""The commands with their options, for plain command lines. Written by `make docs` from Typer: do not edit.

Kinds: a flag takes no value; a text, a path and a count take one; texts are repeated. A count is at least 1.
"""

from __future__ import annotations

from typing import Any

# fmt: off
TABLE: dict[str, dict[str, Any]] = '''
# A parameter with another value of these settings is no plain parameter.
PLAIN_SETTINGS = {
    "parser": None,
    "callback": None,
    "clamp": False,
    "exists": False,
    "file_okay": True,
    "dir_okay": True,
    "writable": False,
    "readable": True,
    "resolve_path": False,
    "allow_dash": False,
    "path_type": None,
    "count": False,
    "prompt": False,
    "max": None,
}


def make_table():
    """Return the plain parameters of each command: a nested dictionary."""
    commands = typer.main.get_command(make_app()).commands
    tables = {name: _describe(command) for name, command in commands.items() if not hasattr(command, "commands")}
    return {name: table for name, table in tables.items() if table is not None}


def make_summaries():
    """Return what each command does, in the order of the list of commands."""
    commands = typer.main.get_command(make_app()).commands
    return {name: " ".join(command.help.split()) for name, command in commands.items()}


def make_file():
    """Return the content of the file."""
    table = pformat(make_table(), width=119, sort_dicts=False).replace("'", '"')
    lines = [
        f"    {json.dumps(name)}: {json.dumps(text, ensure_ascii=False)}," for name, text in make_summaries().items()
    ]
    lines = [f"{line}  # noqa: E501\n" if len(line) > 120 else f"{line}\n" for line in lines]
    summaries = f"# What each command does, for the list of commands.\nSUMMARIES = {{\n{''.join(lines)}}}"
    return f"{HEADER}{{\n {table[1:]}\n\n{summaries}\n"


def _describe(command):
    """Describe a command. None if it can't have a plain command line: an argument or a variable is not plain."""
    table = {"arguments": {}, "options": {}, "variables": {}, "required": []}
    for parameter in command.params:
        kind = _find_kind(parameter)
        is_argument = parameter.param_type_name == "argument"
        if kind is None and (is_argument or parameter.envvar):
            return None
        if is_argument:
            table["arguments"][parameter.name] = kind
        elif kind is not None:
            table["options"].update(dict.fromkeys(parameter.opts, (parameter.name, kind)))
        if parameter.envvar:
            table["variables"][parameter.name] = (parameter.envvar, kind)
        if parameter.required:
            table["required"].append(parameter.name)
    # Words go to the arguments in order, so only the last argument may be repeated.
    return None if "texts" in list(table["arguments"].values())[:-1] else table


def _find_kind(parameter):
    """Return the kind of a plain parameter; None for any other parameter."""
    kind, info = parameter.type_descriptor.annotation, parameter.type_descriptor.parameter_info
    if any(getattr(info, name, value) != value for name, value in PLAIN_SETTINGS.items()) or parameter.secondary_opts:
        return None
    if kind is bool:
        return "flag" if parameter.is_flag and parameter.default is False and not parameter.is_eager else None
    if kind is int and (info.min is None or info.min <= 1):
        return "count"
    return {str: "text", Path: "path", list[str]: "texts"}.get(kind)


if __name__ == "__main__":
    FILE.write_text(make_file(), encoding="utf-8")
    print(f"wrote {FILE}")
