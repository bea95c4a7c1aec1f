"""Times as the log writes them: text, in UTC, to the microsecond, which compares as the times do."""

from __future__ import annotations

from datetime import UTC, datetime

from gamesales.errors import UsageError

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def utc_now() -> str:
    """Return the time as the log writes it."""
    return utc(datetime.now(UTC))


def utc(moment: datetime) -> str:
    """Write a moment, which knows its time zone, as the log does: ``2026-11-24T02:00:00.123456Z``."""
    return moment.astimezone(UTC).strftime(_TIME)


def check_time(text: str) -> str:
    """Return a time if it is written as the log writes it; only such times can be compared as text."""
    try:
        written = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        written = None
    if written is None or utc(written) != text:
        raise UsageError(f"{text!r} is no time of the log; expected one such as 2026-11-24T02:00:00.123456Z, in UTC")
    return text
