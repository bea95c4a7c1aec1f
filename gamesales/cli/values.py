"""Defaults and values of options that several commands share."""

from __future__ import annotations

from gamesales.errors import UsageError, suggest
from gamesales.registry.event import parse_time
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, DEFAULT_REGISTRY

REGISTRY = DEFAULT_REGISTRY
NAME = DEFAULT_MODEL
ALIAS = CHAMPION


def choose_registry(option: str | None, job: str | None) -> str:
    """Return the registry of a job: that of the command line or the environment, or that of the job, or the default."""
    named = job if option is None else option
    return REGISTRY if named is None else named


def check_choice(option: str, value: str, *choices: str) -> None:
    """Raise UsageError if the value of an option is not one of its choices."""
    if value not in choices:
        raise UsageError(f"{option} expects {' or '.join(choices)}, received {value!r}{suggest(value, choices)}")


def parse_span(since: str | None, until: str | None) -> tuple[str | None, str | None]:
    """Convert --since and --until to times of the log."""
    first = None if since is None else parse_time(since, "--since", is_end=False)
    last = None if until is None else parse_time(until, "--until", is_end=True)
    if first is not None and last is not None and first > last:
        raise UsageError(
            f"expected --since before --until, received {since} to {until}",
            hint=f"Swap them: --since {until} --until {since}",
        )
    return first, last


def parse_as_of(text: str | None) -> str | None:
    """Convert --as-of to a time of the log."""
    return None if text is None else parse_time(text, "--as-of", is_end=True)
