"""An object store's errors, told by what a person can do about them.

obstore sorts few failures into classes of their own, and which ones depends on the request: a refused read is a
``PermissionDeniedError``, a refused listing a ``GenericError``. So the HTTP status is read from the message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from gamesales.errors import RegistryError, TryAgainError

_STATUS = re.compile(r"status code: (\d{3})")
_MESSAGE = re.compile(r"<Message>([^<\n]*)")
# Where machines in a cloud are told who they are; elsewhere nobody answers there, or whoever answers knows nothing.
_IDENTITY = re.compile(r"169\.254\.|latest/api/token|token request|[Cc]redential|Access ?Key|Account must be specified")
_CREDENTIALS = "Check the credentials in the environment, and what they allow: docs/registry.md"
_BUCKET = "Make the bucket or container first, or name another: --registry URL"
_CONDITION = "The service must support writes on condition (If-None-Match); put the registry elsewhere: --registry PATH"
_PLAIN = "An address without TLS must be allowed, as by AWS_ALLOW_HTTP=true: docs/registry.md"
_SETTINGS = "Check the settings in the environment: docs/registry.md"
_LATER = "Check the network and the service, then run it again"
# Statuses that say "not now", besides all from 500 on.
_BUSY = {408, 409, 425, 429}


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what obstore raises into one of our errors, which names the place.

    Raises: RegistryError: it can't work until somebody changes something. TryAgainError: it may work later.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, NotImplementedError, ValueError) as error:
        raise _ours(where, str(error)) from None


def _ours(where: str, text: str) -> RegistryError | TryAgainError:
    message = f"{where}: {_told(text)}"
    found = _STATUS.search(text)
    status = int(found[1]) if found else 0
    if _IDENTITY.search(text) or status in {401, 403}:
        return RegistryError(message, hint=_CREDENTIALS)
    if status == 404:
        return RegistryError(message, hint=_BUCKET)
    if status == 501 or "conditional put" in text:
        return RegistryError(message, hint=_CONDITION)
    if "builder error" in text:
        return RegistryError(message, hint=_PLAIN)
    if status in _BUSY or status >= 500 or (not status and "HTTP error" in text):
        return TryAgainError(message, hint=_LATER)
    return RegistryError(message, hint=_SETTINGS)


def _told(text: str) -> str:
    """Return what a message tells of the cause, without the URL, which may hold a signature."""
    line = text.partition("\n")[0].rpartition(" - ")[2].partition(": <")[0]
    said = _MESSAGE.search(text)
    return f"{line} ({said[1]})" if said else line
