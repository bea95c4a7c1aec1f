"""Commands under a name of their own: ``gamesales alias set``, ``alias delete``, ``alias list``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import typer


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
