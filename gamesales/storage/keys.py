"""Keys of a store: relative POSIX paths that can't leave it, and what a listing says about their files."""

from __future__ import annotations

import re
from typing import NamedTuple

from gamesales.errors import IntegrityError

CLOUD_FORMS = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
# The longest name on most disks, and the longest key in most object stores.
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=-]{0,254}")
_KEY_LENGTH_LIMIT = 1024
_URL_SECRETS = re.compile(r"//[^/]*@|[?#].*")


class FileStat(NamedTuple):
    """The size of a file in bytes, and when it was written, in seconds since 1970 by the clock of the store."""

    size: int
    modified: float


def is_safe_key(key: str) -> bool:
    """Return whether a key stays inside the store: no ``..``, no absolute path, no hidden name, not too long."""
    return len(key) <= _KEY_LENGTH_LIMIT and all(_PART.fullmatch(part) for part in key.split("/"))


def hide_secrets(url: str) -> str:
    """Return a URL without its password and its options, which may hold a signature."""
    return _URL_SECRETS.sub("…", url)


def check_key(key: str) -> None:
    """Refuse a key that could leave the store.

    Raises:
        IntegrityError: the key is not safe.
    """
    if not is_safe_key(key):
        raise IntegrityError(
            f"{key!r} is not a key: expected names of letters, digits and ._=- joined by /, each of at most 255 "
            f"characters, and at most {_KEY_LENGTH_LIMIT:,} characters in total"
        )
