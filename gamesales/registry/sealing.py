"""Sealed files: JSON whose bytes are checked before any parser sees them.

A sealed file holds exactly

    {"<name>":<canonical JSON>,"sha256":"<64 hex digits>"}

and a line break, where the digest is of the bytes between ``{"<name>":`` and ``,"sha256":``. So every byte of it is
either digested or fixed, and it is JSON all the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gamesales.errors import IntegrityError

_MIDDLE = b',"sha256":"'
_TAIL = b'"}\n'
_SEAL_SIZE = len(_MIDDLE) + 64 + len(_TAIL)


def canonical_json(value: object) -> bytes:
    """Encode so that equal values have equal bytes: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def seal(name: str, fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the bytes of a sealed file and its digest."""
    content = canonical_json(fields)
    digest = hashlib.sha256(content).hexdigest()
    return _head(name) + content + _MIDDLE + digest.encode("ascii") + _TAIL, digest


def unseal(name: str, data: bytes, where: str) -> tuple[Any, str]:
    """Check a sealed file against its own digest, then parse it; return what it holds and the digest.

    Raises: IntegrityError: the bytes are not those that were sealed; it names the file.
    """
    content, seal_bytes = data[len(_head(name)) : -_SEAL_SIZE], data[-_SEAL_SIZE:]
    digest = hashlib.sha256(content).hexdigest()
    expected = _MIDDLE + digest.encode("ascii") + _TAIL
    if not data.startswith(_head(name)) or seal_bytes != expected:
        raise IntegrityError(
            f"{where} was changed: its content has sha256 {digest}, its seal reads {seal_bytes[-67:-3]!r}",
            hint="Restore this file from a backup of the registry",
        )
    try:
        return json.loads(content), digest
    except (ValueError, RecursionError):
        return None, digest


def _head(name: str) -> bytes:
    return f'{{"{name}":'.encode("ascii")
