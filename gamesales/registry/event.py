"""Events of the log: their fields, their sealed files, and the times that they carry.

A sealed file holds exactly

    {"<name>":<canonical JSON>,"sha256":"<64 hex digits>"}

and a line break. The digest is of the bytes between ``{"<name>":`` and ``,"sha256":``. Every other byte is fixed. So
the whole file is checked before any parser sees it, and it is still JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from gamesales.errors import IntegrityError, UsageError

VERSION_REGISTERED = "version.registered"
VERSION_RETIRED = "version.retired"
EVALUATION_RECORDED = "evaluation.recorded"
ALIAS_SET = "alias.set"
ALIAS_DELETED = "alias.deleted"
SIGNATURE_RECORDED = "signature.recorded"
POLICY_SET = "policy.set"
KINDS = (
    VERSION_REGISTERED,
    VERSION_RETIRED,
    EVALUATION_RECORDED,
    ALIAS_SET,
    ALIAS_DELETED,
    SIGNATURE_RECORDED,
    POLICY_SET,
)

# The first release that reads events of the last two kinds.
SIGNATURES_RELEASE = "0.2.0"

# An event's sequence and digest: where it is in the log, and which bytes it must have.
EventRef = tuple[int, str]

_FIELD_TYPES = {
    "sequence": int,
    "id": str,
    "time": str,
    "actor": str,
    "kind": str,
    "reason": str,
    "previous": str,
    "body": dict,
}
_SEAL_START = b',"sha256":"'
_SEAL_END = b'"}\n'
_SEAL_SIZE = len(_SEAL_START) + 64 + len(_SEAL_END)

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(_DATE.pattern + r"[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


@dataclass(frozen=True)
class Event:
    """One change of a registry: its kind and body, when it happened (UTC), by whom and why.

    ``previous`` is the digest of the event before it; ``digest`` is the event's own.
    """

    sequence: int
    id: str
    time: str
    actor: str
    kind: str
    reason: str
    previous: str
    body: Mapping[str, Any]
    digest: str

    @property
    def ref(self) -> EventRef:
        """The event's sequence and digest."""
        return self.sequence, self.digest


def seal_event(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the bytes of an event's file and the event's digest."""
    return seal_json("event", fields)


def unseal_event(data: bytes, location: str) -> Event:
    """Check an event's file against its own digest, then parse it. The inverse of ``seal_event``.

    Raises:
        IntegrityError: the bytes were changed, or their fields are not those of an event.
    """
    fields, digest = unseal_json("event", data, location)
    if not isinstance(fields, dict) or {name: type(value) for name, value in fields.items()} != _FIELD_TYPES:
        raise IntegrityError(f"{location} is not an event that this release can read", hint="Upgrade gamesales")
    return Event(**fields, digest=digest)


def seal_json(name: str, fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the bytes of a sealed file, whose first key is the name, and its digest."""
    content = encode_canonical_json(fields)
    digest = hashlib.sha256(content).hexdigest()
    return _head(name) + content + _seal_of(digest), digest


def unseal_json(name: str, data: bytes, location: str) -> tuple[Any, str]:
    """Check a sealed file against its own digest, then parse it. The inverse of ``seal_json``.

    Returns:
        The content and the digest. The content is None if it is sealed but is not JSON.

    Raises:
        IntegrityError: the bytes are not the bytes that were sealed.
    """
    content, seal = data[len(_head(name)) : -_SEAL_SIZE], data[-_SEAL_SIZE:]
    digest = hashlib.sha256(content).hexdigest()
    if not data.startswith(_head(name)) or seal != _seal_of(digest):
        raise IntegrityError(
            f"{location} was changed: its content has sha256 {digest}, its seal reads {seal[-67:-3]!r}",
            hint="Restore this file from a backup of the registry",
        )
    try:
        return json.loads(content), digest
    except (ValueError, RecursionError):
        return None, digest


def encode_canonical_json(value: object) -> bytes:
    """Encode a value so that equal values have equal bytes: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def _head(name: str) -> bytes:
    return f'{{"{name}":'.encode("ascii")


def _seal_of(digest: str) -> bytes:
    return _SEAL_START + digest.encode("ascii") + _SEAL_END


def format_now() -> str:
    """Return the current time as the log writes it."""
    return format_time(datetime.now(UTC))


def format_time(moment: datetime) -> str:
    """Write an aware datetime as the log does: ``2026-11-24T02:00:00.123456Z``, so that texts compare as times do."""
    # Not strftime, which writes the year 999 with three digits.
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def check_time(text: str) -> str:
    """Return a time that is written as the log writes times. Only these can be compared as text.

    Raises:
        UsageError: the time is written in another way.
    """
    try:
        moment = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        moment = None
    if moment is None or format_time(moment) != text:
        raise UsageError(
            f"{text!r} is not a time of the log; expected a time such as 2026-11-24T02:00:00.123456Z, in UTC"
        )
    return text


def parse_time(text: str, option: str, *, is_end: bool) -> str:
    """Read a time that a person wrote, and return it as the log writes times.

    Args:
        text: a date, or a moment. It is in UTC unless it has an offset.
        option: the option that it was given to, for the message.
        is_end: whether a date means its last microsecond. Otherwise it means its first.

    Raises:
        UsageError: the text is neither a date nor a moment.
    """
    try:
        if _DATE.fullmatch(text):
            return format_time(datetime.combine(date.fromisoformat(text), time.max if is_end else time.min, UTC))
        moment = datetime.fromisoformat(text if _MOMENT.fullmatch(text) else "")
        return format_time(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):  # there is no such day, or an offset leads out of the calendar
        raise UsageError(
            f"{option} expects a date such as 2026-11-24 or a moment such as 2026-11-24T02:00, received {text!r}",
            hint="Both are in UTC; a moment may end in an offset: 2026-11-24T02:00+01:00",
        ) from None


def parse_span(since: str | None, until: str | None) -> tuple[str | None, str | None]:
    """Convert the values of --since and --until to times of the log.

    Raises:
        UsageError: a value is not a time, or the first time is after the last.
    """
    first = None if since is None else parse_time(since, "--since", is_end=False)
    last = None if until is None else parse_time(until, "--until", is_end=True)
    if first is not None and last is not None and first > last:
        raise UsageError(
            f"expected --since before --until, received {since} to {until}",
            hint=f"Swap them: --since {until} --until {since}",
        )
    return first, last
