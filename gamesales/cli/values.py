"""Defaults and values of options that several commands share."""

from __future__ import annotations

from gamesales.errors import UsageError, suggest
from gamesales.registry.event import parse_time
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, DEFAULT_REGISTRY

REGISTRY = DEFAULT_REGISTRY
NAME = DEFAULT_MODEL
ALIAS = CHAMPION


def check_choice(option: str, value: str, *choices: str) -> None:
    """Raise UsageError if the value of an option is not one of its choices."""
    if value not in choices:
        raise UsageError(f"{option} expects {' or '.join(choices)}, received {value!r}{suggest(value, choices)}")


def parse_as_of(text: str | None) -> str | None:
    """Convert --as-of to a time of the log."""
    return None if text is None else parse_time(text, "--as-of", is_end=True)
