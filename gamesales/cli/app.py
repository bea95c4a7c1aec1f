"""The command line in Typer, which defines it. Typer also writes the help and finds mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, get_type_hints

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from gamesales import __version__
from gamesales.cli import options
from gamesales.cli.commands import MODULE_OF, Command, CommandGroup, load_command
from gamesales.errors import EXIT_INTERRUPTED, UsageError

ABOUT = "Train, register, promote and score models of game sales, with earnings in US dollars."


def run_app(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code.

    Raises:
        UsageError: The command line is wrong.
        BrokenPipeError: The reader of stdout is gone.
        KeyboardInterrupt: The user pressed Ctrl-C.
    """
    name = arguments[0] if arguments else None
    command, program = typer.main.get_command(make_app(name, only_list=name in (None, "--help"))), "gamesales"
    # A command runs without the groups around it: their options would make Typer import Pydantic.
    while isinstance(command, TyperGroup) and arguments and arguments[0] in command.commands:
        command, program, arguments = command.commands[arguments[0]], f"{program} {arguments[0]}", arguments[1:]
    try:
        # Without standalone mode Typer returns the exit code of a command and lets errors through,
        # but it turns Ctrl-C into an exit code too.
        code = command.main(arguments, prog_name=program, standalone_mode=False)
    except SystemExit as leaving:  # Typer exits with code 1 if the reader of stdout is gone
        raise BrokenPipeError from leaving
    except typer.Abort:
        raise KeyboardInterrupt from None
    except TyperException as error:
        message, context = error.format_message(), getattr(error, "ctx", None)
        if not message:
            return error.exit_code  # no arguments: Typer has shown the help
        path = context.command_path if context else "gamesales"
        raise UsageError(message, hint=f"See: {path} --help") from error
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def make_app(name: str | None = None, *, only_list: bool = False) -> typer.Typer:
    """Make the command line.

    Args:
        name: Add only the command of this name, if there is one: Typer takes milliseconds for each.
        only_list: Whether only the list of commands is shown, so that they need no options.
    """
    app = typer.Typer(
        name="gamesales",
        help=ABOUT,
        epilog="Every command also takes --traceback, which shows where in the code an error arose.",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
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
            group = typer.Typer(help=command.about, no_args_is_help=True)
            for member_name, member in command.commands.items():
                _add_command(group, member_name, member)
            app.add_typer(group, name=command_name)
        else:
            _add_command(app, command_name, command)
    return app


def _add_command(app: typer.Typer, name: str, command: Command) -> None:
    # The modules of commands import Typer and the shared options for type checkers only, and start faster.
    command.__annotations__ = get_type_hints(command, localns=vars(options), include_extras=True)
    app.command(name)(command)


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
