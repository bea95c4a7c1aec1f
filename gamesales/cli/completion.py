"""Completions for bash, zsh and fish: commands, options, versions, aliases and choices. Shells complete paths."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gamesales.cli.commands import MODULE_OF
from gamesales.cli.values import NAME, REGISTRY
from gamesales.registry.refs import REGISTRY_VARIABLE

if TYPE_CHECKING:
    from gamesales.registry.state import State

# A shell that asks for completions sets one of these variables to the command line so far.
_LINE_VARIABLES = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")
# The newest versions that are completed.
_MOST_VERSIONS = 50


def find_command() -> str | None:
    """Return the command whose options or arguments are completed. None if its own name is."""
    line = next((os.environ[variable] for variable in _LINE_VARIABLES if variable in os.environ), "")
    words = line.split()
    is_complete = len(words) > 2 or line[-1:].isspace()
    return words[1] if len(words) > 1 and is_complete and words[1] in MODULE_OF else None


def complete_choices(*choices: str) -> Callable[[], list[str]]:
    """Return the completions of an option that has a few values."""
    return lambda: list(choices)


def complete_refs(ctx: Any) -> list[tuple[str, str]]:
    """List the aliases and the newest versions of a registry on a disk, each with a note."""
    state = _read_state(ctx)
    if state is None:
        return []
    targets = state.read_targets()
    numbers = [number for number in reversed(state.numbers) if not state.is_retired(number)][:_MOST_VERSIONS]
    versions = [(str(number), ", ".join(state.aliases_of(number)) or "version") for number in numbers]
    return [*((alias, f"version {number}") for alias, number in targets.items()), *versions]


def complete_aliases(ctx: Any) -> list[tuple[str, str]]:
    """List the aliases of a registry on a disk, each with its version."""
    state = _read_state(ctx)
    return [] if state is None else [(alias, f"version {number}") for alias, number in state.read_targets().items()]


def _read_state(ctx: Any) -> State | None:
    """Read the registry that the command line names so far. None if it is in a store, or can't be read."""
    from gamesales.jobs.loading import open_registry

    location = ctx.params.get("registry") or os.environ.get(REGISTRY_VARIABLE) or REGISTRY
    try:
        return None if "://" in location else open_registry(location, ctx.params.get("name") or NAME).read_state()
    except Exception:  # a completion has no place for an error
        return None
