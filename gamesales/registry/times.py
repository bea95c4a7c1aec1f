"""Times as the log writes them: text, in UTC, to the microsecond, which compares as the times do."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time

from gamesales.errors import UsageError

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(_DATE.pattern + r"[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def utc_now() -> str:
    """Return the time as the log writes it."""
    return utc(datetime.now(UTC))


def utc(moment: datetime) -> str:
    """Write a moment, which knows its time zone, as the log does: ``2026-11-24T02:00:00.123456Z``."""
    # Not strftime, which writes the year 999 with three digits.
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def check_time(text: str) -> str:
    """Return a time if it is written as the log writes it; only such times can be compared as text."""
    try:
        written = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        written = None
    if written is None or utc(written) != text:
        raise UsageError(f"{text!r} is no time of the log; expected one such as 2026-11-24T02:00:00.123456Z, in UTC")
    return text


def read_time(text: str, option: str, *, ends: bool) -> str:
    """Return the time that a person wrote, as the log writes it.

    Args:
        text: a date, or a moment, which is in UTC unless it says otherwise.
        option: where it was written, for the message.
        ends: whether a date stands for its last moment; otherwise it does for its first.
    Raises: UsageError: it is neither.
    """
    is_date, is_moment = _DATE.fullmatch(text), _MOMENT.fullmatch(text)
    try:
        if is_date:
            return utc(datetime.combine(date.fromisoformat(text), time.max if ends else time.min, UTC))
        found = datetime.fromisoformat(text if is_moment else "")
        return utc(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):  # there is no such day, or an offset leads out of the calendar
        raise UsageError(
            f"{option} expects a date such as 2026-11-24 or a moment such as 2026-11-24T02:00, received {text!r}",
            hint="Both are in UTC; a moment may end in an offset: 2026-11-24T02:00+01:00",
        ) from None
