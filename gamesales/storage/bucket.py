"""A bucket or container from which inputs are read. A registry writes to one too: cloud.py.

Every request for content has the condition ``If-Match`` with the ETag of the listing, so a reader never mixes two
states of an object.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any

from gamesales.errors import InputError, RegistryError, TryAgainError, UsageError
from gamesales.storage.cloud import check_process, hide_secrets, make_client, translate_errors
from gamesales.storage.keys import CLOUD_FORMS

_URL = re.compile(r"(?P<bucket>(?:s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*)(?:/(?P<key>.*?))?/?", re.DOTALL)
# The options of a URL, which may be a signature. In a glob, ? stands for a character.
_OPTIONS = re.compile(r"\?[\w.-]+=")
# Variables of the environment that decide how a client connects.
_SETTINGS = ("AWS_", "AZURE_", "GOOGLE_", "SSL_", "HTTP", "http", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")
# Seconds, at most, before each repetition of a request whose content broke off. obstore repeats all other requests.
_READ_WAITS = (0.2, 0.8, 2.0)

# Stands before the time of the last change, where a store has no ETags.
_MODIFIED = "modified "

_DENIED = re.compile(r"\b40[13]\b")

# An object as obstore describes it: path, size, e_tag, last_modified.
ObjectEntry = Mapping[str, Any]


class AccessDeniedError(InputError, PermissionError):
    """The credentials do not allow the request."""


def is_object_url(text: str) -> bool:
    """Return whether a text is the URL of an object, or of a folder of objects."""
    return text.startswith(("s3://", "gs://", "az://"))


def split_object_url(url: str) -> tuple[str, str]:
    """Split a URL into the URL of the bucket and the key. Keys are literal: nothing in them is decoded.

    Raises:
        UsageError: the URL has no bucket or it has options, or a part of the key is empty, ``.`` or ``..``.
    """
    match = _URL.fullmatch(url)
    key = (match["key"] or "") if match else ""
    if not match or _OPTIONS.search(key) or (key and not {"", ".", ".."}.isdisjoint(key.split("/"))):
        raise UsageError(
            f"expected {CLOUD_FORMS}, without options, empty parts and .., received {hide_secrets(url)!r}",
            hint="Credentials and endpoints are set in the environment: docs/reference/object-stores.md",
        )
    return match["bucket"], key


def get_e_tag(entry: ObjectEntry) -> str:
    """Return what identifies the content of an object: its ETag, or the time of its last change if it has none.

    An ETag is returned without quotes, because a listing of Azure has none.
    """
    return (entry["e_tag"] or f"{_MODIFIED}{entry['last_modified'].isoformat()}").strip('"')


def open_bucket(url: str) -> Bucket:
    """Open the bucket or container at ``s3://bucket``, ``gs://bucket`` or ``az://container``. It sends nothing yet.

    Its connections are shared by everything that this process reads from it.
    """
    return _share_bucket(url, tuple(item for item in os.environ.items() if item[0].startswith(_SETTINGS)))


@lru_cache(maxsize=16)
def _share_bucket(url: str, settings: tuple[tuple[str, str], ...]) -> Bucket:  # noqa: ARG001, a part of the key
    return Bucket(url)


class Bucket:
    """A bucket or container.

    Args:
        url: ``s3://bucket``, ``gs://bucket`` or ``az://container``. Settings come from the environment.

    Raises:
        UsageError: obstore is not installed.
        InputError: the environment configures no usable client.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        scheme, _, name = url.partition("://")
        with raise_input_errors():
            self._client = make_client(url, scheme, name)

    def fetch(self, key: str, start: int, stop: int, stamp: tuple[int, int | str]) -> bytes:
        """Fetch a range of the bytes of an object whose size and ETag are ``stamp``.

        Raises:
            TryAgainError: the object was changed or removed, or the store does not answer.
            InputError: the store refuses the request.
        """
        for wait in (*_READ_WAITS, None):
            response = self._request(key, start, stop, stamp)
            try:
                with self._call(key):
                    data = bytes(response.bytes())
                if len(data) == stop - start:
                    return data
            except TryAgainError:
                if wait is None:
                    raise
            time.sleep((wait or 0) * random.uniform(0.5, 1))  # noqa: S311 - readers must not come back together
        raise TryAgainError(f"{self.url}/{key}: the content broke off", hint="Check the network, then run it again")

    def _request(self, key: str, start: int, stop: int, stamp: tuple[int, int | str]) -> Any:
        """Request a range of an object. The answer has its description, and not yet its content."""
        options: dict[str, Any] = {"range": (start, stop)}
        if not str(stamp[1]).startswith(_MODIFIED):
            options["if_match"] = f'"{stamp[1]}"'
        with self._call(key) as obstore:
            try:
                response = obstore.get(self._client, key, options=options)
            except FileNotFoundError:
                raise TryAgainError(
                    f"{self.url}/{key} was removed while this run needed it; nothing was published", hint="Run it again"
                ) from None
            except obstore.exceptions.PreconditionError:
                raise _make_change_error(f"{self.url}/{key}") from None
        if (response.meta["size"], get_e_tag(response.meta)) != stamp:  # the store does not know If-Match
            raise _make_change_error(f"{self.url}/{key}")
        return response

    def find(self, key: str) -> ObjectEntry | None:
        """Return an object; None if there is no object with this key."""
        with self._call(key) as obstore:
            try:
                entry: ObjectEntry = obstore.head(self._client, key)
            except FileNotFoundError:
                return None
            return entry

    def has_folder(self, key: str) -> bool:
        """Return whether there are objects below a key."""
        with self._call(key) as obstore:
            entries = chain.from_iterable(obstore.list(self._client, key or None, chunk_size=2))
            return any(entry["path"] != key for entry in entries)

    def list_folder(self, key: str) -> tuple[Sequence[str], Sequence[ObjectEntry]]:
        """List a folder: the keys of the folders in it, and its objects."""
        with self._call(key) as obstore:
            listing = obstore.list_with_delimiter(self._client, key or None)
        return listing["common_prefixes"], listing["objects"]

    def list_all(self, key: str) -> Sequence[ObjectEntry]:
        """List all objects below a key, in folders at any depth."""
        with self._call(key) as obstore:
            entries: Sequence[ObjectEntry] = obstore.list(self._client, key or None).collect()
        return entries

    @contextmanager
    def _call(self, key: str) -> Iterator[Any]:
        """Give the body obstore, if it works in this process, and translate its errors."""
        import obstore

        with raise_input_errors():
            check_process(self.url)
            with translate_errors(f"{self.url}/{key}"):
                yield obstore


def _make_change_error(url: str) -> TryAgainError:
    return TryAgainError(
        f"{url} was changed while this run read it; nothing was published",
        hint="Run it again when the file is complete",
    )


@contextmanager
def raise_input_errors() -> Iterator[None]:
    """Turn errors of a registry into errors of an input, which have another exit code."""
    try:
        yield
    except RegistryError as error:
        kind = AccessDeniedError if _DENIED.search(error.message) else InputError
        raise kind(error.message, hint=error.hint) from None
