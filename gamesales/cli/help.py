"""The help of the program and of each command, which fits the terminal."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from gamesales.cli.commands import COMMON_OPTIONS, TOPICS
from gamesales.cli.terminal import BOLD, measure, set_color, use_screen_of, wrap

# The width of the help in a file or a pipe, and the width of text that is easy to read.
_USUAL_WIDTH, _MOST_WIDTH = 80, 100
# Longer labels have a line of their own.
_MOST_LABEL = 26
_EXAMPLES = "\n\nExamples:\n"


def split_examples(function: Callable[..., Any]) -> tuple[str, list[str]]:
    """Split the docstring of a command into what it does and its examples."""
    about, _, examples = inspect.cleandoc(function.__doc__ or "").partition(_EXAMPLES)
    return " ".join(about.split()), [line[4:] for line in examples.splitlines()]


class HelpCommand(TyperCommand):
    """A command with our help. Its epilog has the examples, a line for each."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        _write_help(self, ctx, formatter)


class HelpGroup(TyperGroup):
    """A group of commands with our help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        _write_help(self, ctx, formatter)


def _write_help(command: Any, ctx: Any, formatter: Any) -> None:
    with use_screen_of(sys.stdout) as screen:
        width = min(screen.width or _USUAL_WIDTH, _MOST_WIDTH)
        usage = f"Usage: {ctx.command_path} {' '.join(_list_usage(command))}"
        paragraphs = [wrap(usage, width, " " * 7), wrap(command.help or "", width)]
        if command.epilog:
            paragraphs.append(_lay_out("Examples", ((example, "") for example in command.epilog.splitlines()), width))
        arguments = [
            (str(parameter.metavar), f"{parameter.help}{_describe_default(parameter)}")
            for parameter in command.params
            if _is_argument(parameter)
        ]
        paragraphs.append(_lay_out("Arguments", arguments, width))
        if isinstance(command, TyperGroup):
            paragraphs += [_lay_out(topic, rows, width) for topic, rows in _list_commands(command).items()]
        paragraphs.append(_lay_out("Options", _list_options(command, ctx), width))
    formatter.write("\n\n".join("\n".join(lines) for lines in paragraphs if lines) + "\n")


def _is_argument(parameter: Any) -> bool:
    return str(parameter.param_type_name) == "argument"


def _list_usage(command: Any) -> list[str]:
    """List the words of a command line: ``REF [OPTIONS]``."""
    if isinstance(command, TyperGroup):
        return ["COMMAND [OPTIONS]"]
    arguments = [parameter for parameter in command.params if _is_argument(parameter)]
    names = [f"{parameter.metavar}{'...' if parameter.nargs == -1 else ''}" for parameter in arguments]
    words = [name if argument.required else f"[{name}]" for name, argument in zip(names, arguments, strict=True)]
    return [*words, "[OPTIONS]"]


def _list_commands(group: TyperGroup) -> dict[str, list[tuple[str, str]]]:
    """List the commands of a group by topic."""
    abouts = {name: (command.help or "") for name, command in group.commands.items()}
    if group.name != "gamesales":
        return {"Commands": list(abouts.items())}
    return {topic: [(name, abouts[name]) for name in names] for topic, names in TOPICS.items()}


def _list_options(command: Any, ctx: Any) -> list[tuple[str, str]]:
    """List the options with their values, defaults and environment variables."""
    options = []
    for parameter in command.get_params(ctx):
        if _is_argument(parameter):
            continue
        names = ", ".join(sorted(parameter.opts, key=len))
        label = names if parameter.is_flag else f"{names} {parameter.metavar}"
        options.append((label, f"{parameter.help}{_describe_default(parameter)}"))
    return [*options, *COMMON_OPTIONS.items()]


def _describe_default(parameter: Any) -> str:
    notes = []
    if parameter.required and not _is_argument(parameter):
        notes.append("required")
    elif not getattr(parameter, "is_flag", False) and parameter.default not in (None, "", []):
        notes.append(f"default: {parameter.default}")
    if parameter.envvar:
        notes.append(f"or the variable {parameter.envvar}")
    return f" [{'; '.join(notes)}]" if notes else ""


def _lay_out(heading: str, rows: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Lay out labels and texts as two columns below a heading. Texts are broken between words."""
    rows = list(rows)
    widths = [measure(label) for label, text in rows if text and measure(label) <= _MOST_LABEL]
    indent = " " * (max(widths, default=0) + 4)
    lines = [set_color(f"{heading}:", BOLD)] if rows else []
    for label, text in rows:
        start = f"  {label}"
        if not text:
            lines += wrap(start, width, "    ")
        elif measure(start) + 2 > len(indent):
            lines += [start, *wrap(f"{indent}{text}", width, indent)]
        else:
            lines += wrap(f"{start:<{len(indent)}}{text}", width, indent)
    return lines
