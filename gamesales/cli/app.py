"""The command line in Typer, which defines it. Typer also writes the help and finds mistakes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from gamesales import __version__
from gamesales.cli import options
from gamesales.cli.commands import COMMON_OPTIONS, MODULE_OF, Command, CommandGroup, load_command
from gamesales.cli.completion import find_command
from gamesales.cli.help import HelpCommand, HelpGroup, split_examples
from gamesales.cli.plain import COMPLETION_VARIABLE
from gamesales.errors import EXIT_INTERRUPTED, UsageError, suggest

ABOUT = "Train, register, promote and score models of game sales."
FIRST_STEPS = """gamesales train
gamesales promote 1 --reason "the first version"
gamesales score data/new_titles.csv --output predictions"""
HELP_NAMES = {"help_option_names": ["-h", "--help"]}


def run_app(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code.

    Raises:
        UsageError: The command line is wrong.
        BrokenPipeError: The reader of stdout is gone.
        KeyboardInterrupt: The user pressed Ctrl-C.
    """
    if COMPLETION_VARIABLE in os.environ:
        return _complete()
    name = arguments[0] if arguments else None
    command, program = typer.main.get_command(make_app(name, only_list=name not in MODULE_OF)), "gamesales"
    # A command runs without the groups around it: their options would make Typer import Pydantic.
    while isinstance(command, TyperGroup) and arguments and arguments[0] in command.commands:
        command, program, arguments = command.commands[arguments[0]], f"{program} {arguments[0]}", arguments[1:]
    if isinstance(command, TyperGroup) and not arguments:
        print(command.get_help(command.make_context(program, [], resilient_parsing=True)))
        return UsageError.exit_code
    if isinstance(command, TyperGroup) and not arguments[0].startswith("-"):
        guess = suggest(arguments[0], command.commands)
        raise UsageError(f"no command {arguments[0]} of {program}{guess}", hint=f"See: {program} --help")
    try:
        # Without standalone mode Typer returns the exit code of a command and lets errors through,
        # but it turns Ctrl-C into an exit code too.
        code = command.main(arguments, prog_name=program, standalone_mode=False)
    except SystemExit as leaving:
        if leaving.code:  # Typer exits with code 1 if the reader of stdout is gone
            raise BrokenPipeError from leaving
        return 0  # the completion of a shell was shown or installed
    except typer.Abort:
        raise KeyboardInterrupt from None
    except TyperException as error:
        raise UsageError(_explain_mistake(error, command), hint=f"See: {program} --help") from error
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _complete() -> int:
    """Print the completions that a shell asks for, or the script that a shell runs."""
    name = find_command()
    try:
        typer.main.get_command(make_app(name, only_list=name is None)).main([], prog_name="gamesales")
    except SystemExit as leaving:  # fish asks by the exit code whether there are completions
        return int(leaving.code or 0)
    except (LookupError, ValueError):  # no shell asks so, and a completion has no place for an error
        return UsageError.exit_code
    raise AssertionError("Typer exits after a completion")


def _explain_mistake(error: Any, command: Any) -> str:
    """Explain what is wrong with the options or arguments of a command. Typer's classes of mistakes are private."""
    kind, parameter = type(error).__name__, getattr(error, "param", None)
    label = "" if parameter is None else _label(parameter)
    if kind == "MissingParameter":
        return f"{label} is missing"
    if kind == "NoSuchOption":
        for other in command.params:
            if other.param_type_name == "argument" and other.name == error.option_name.lstrip("-"):
                return f"no option {error.option_name}; give {_label(other)} without {error.option_name}"
        options = [option for other in command.params for option in other.opts]
        return f"no option {error.option_name}{suggest(error.option_name, [*options, *COMMON_OPTIONS])}"
    if kind == "BadOptionUsage":
        return f"{error.option_name} {'takes no value' if 'not take' in error.message else 'needs a value'}"
    if kind == "BadParameter" and hasattr(error.__cause__, "errors"):
        from gamesales.data.validation import explain_fault

        explanation = explain_fault(error.__cause__.errors(include_url=False)[0])
        return f"{label} {explanation.replace('expected', 'expects', 1)}"
    message = str(error.format_message()).rstrip(".")
    return re.sub(r"^Got unexpected extra argument\(s\) \((.*)\)$", r"too many arguments: \1", message, flags=re.DOTALL)


def _label(parameter: Any) -> str:
    return str(parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[-1])


def make_app(name: str | None = None, *, only_list: bool = False) -> typer.Typer:
    """Make the command line.

    Args:
        name: Add only the command of this name, if there is one: Typer takes milliseconds for each.
        only_list: Whether only the list of commands is shown, so that they need no options.
    """
    app = typer.Typer(
        name="gamesales",
        cls=HelpGroup,
        epilog=FIRST_STEPS,
        add_completion=only_list or COMPLETION_VARIABLE in os.environ,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=HELP_NAMES,
    )
    app.callback(help=ABOUT)(_add_common_options)
    if only_list:  # without the modules of the commands
        from gamesales.cli.plain_table import SUMMARIES

        for command_name, summary in SUMMARIES.items():
            app.command(command_name, help=summary)(lambda: None)
        return app
    for command_name in [name] if name in MODULE_OF else MODULE_OF:
        command = load_command(command_name)
        if isinstance(command, CommandGroup):
            group = typer.Typer(cls=HelpGroup, help=command.about, rich_markup_mode=None, context_settings=HELP_NAMES)
            for member_name, member in command.commands.items():
                _add_command(group, member_name, member)
            app.add_typer(group, name=command_name)
        else:
            _add_command(app, command_name, command)
    return app


def _add_command(app: typer.Typer, name: str, command: Command) -> None:
    # The modules of commands import Typer and the shared options for type checkers only, and start faster.
    command.__annotations__ = get_type_hints(command, localns=vars(options), include_extras=True)
    about, examples = split_examples(command)
    app.command(name, cls=HelpCommand, help=about, epilog="\n".join(examples), context_settings=HELP_NAMES)(command)


def _show_version(is_requested: bool) -> None:
    if is_requested:
        print(f"gamesales {__version__}")
        raise typer.Exit


def _add_common_options(
    version: Annotated[
        bool, typer.Option("-V", "--version", callback=_show_version, is_eager=True, help="Show the release and exit.")
    ] = False,
) -> None:
    """Add the options of the program itself."""
