"""A bucket or container from which inputs are read. A registry writes to one too: cloud.py.

Every request for content has the condition ``If-Match`` with the ETag of the listing, so a reader never mixes two
states of an object.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

from gamesales.errors import InputError, RegistryError, TryAgainError, UsageError
from gamesales.storage.cloud import make_client, send
from gamesales.storage.keys import CLOUD_FORMS, hide_secrets

_T = TypeVar("_T")
_URL = re.compile(r"(?P<bucket>(?:s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*)(?:/(?P<key>.*?))?/?", re.DOTALL)
# The options of a URL, which may be a signature. In a glob, ? stands for a character.
_OPTIONS = re.compile(r"\?[\w.-]+=")
# Variables of the environment that decide how a client connects.
_SETTINGS = ("AWS_", "AZURE_", "GOOGLE_", "SSL_", "HTTP", "http", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")

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
        options: dict[str, Any] = {"range": (start, stop)}
        if not str(stamp[1]).startswith(_MODIFIED):
            options["if_match"] = f'"{stamp[1]}"'

        def get(obstore: Any) -> bytes | None:
            try:
                response = obstore.get(self._client, key, options=options)
            except (FileNotFoundError, obstore.exceptions.PreconditionError):
                return None
            if (response.meta["size"], get_e_tag(response.meta)) != stamp:
                return None  # the store does not know If-Match
            data = bytes(response.bytes())
            if len(data) < stop - start:
                raise TryAgainError(f"{self.url}/{key}: the content broke off", hint="Run it again")
            return data

        data = self._send(key, get)
        if data is None:
            raise TryAgainError(
                f"{self.url}/{key} was changed or removed while this run needed it; nothing was published",
                hint="Run it again when the file is complete",
            )
        return data

    def find(self, key: str) -> ObjectEntry | None:
        """Return an object; None if there is no object with this key."""

        def head(obstore: Any) -> ObjectEntry | None:
            try:
                entry: ObjectEntry = obstore.head(self._client, key)
            except FileNotFoundError:
                return None
            return entry

        return self._send(key, head)

    def has_folder(self, key: str) -> bool:
        """Return whether there are objects below a key."""

        def look(obstore: Any) -> bool:
            entries = chain.from_iterable(obstore.list(self._client, key or None, chunk_size=2))
            return any(entry["path"] != key for entry in entries)

        return self._send(key, look)

    def list_folder(self, key: str) -> tuple[Sequence[str], Sequence[ObjectEntry]]:
        """List a folder: the keys of the folders in it, and its objects."""
        listing = self._send(key, lambda obstore: obstore.list_with_delimiter(self._client, key or None))
        return listing["common_prefixes"], listing["objects"]

    def list_all(self, key: str) -> Sequence[ObjectEntry]:
        """List all objects below a key, in folders at any depth."""
        return self._send(key, lambda obstore: obstore.list(self._client, key or None).collect())

    def _send(self, key: str, request: Callable[[Any], _T]) -> _T:
        with raise_input_errors():
            return send(f"{self.url}/", key, request)


@contextmanager
def raise_input_errors() -> Iterator[None]:
    """Turn errors of a registry into errors of an input, which have another exit code."""
    try:
        yield
    except RegistryError as error:
        kind = AccessDeniedError if _DENIED.search(error.message) else InputError
        raise kind(error.message, hint=error.hint) from None
