"""A registry in an object store: Amazon S3 and what speaks its language, Google Cloud Storage, Azure Blob Storage.

The primitive is a write on condition that the key does not exist (``If-None-Match: *``), which the service decides.
Not every service that takes such a request honours it, so a store shows that it does before anything is written.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gamesales.errors import RegistryError, TryAgainError, UsageError
from gamesales.registry.keys import CLOUD_FORMS, check_key, is_safe_key

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_URL = re.compile(r"(?P<scheme>s3|gs|az)://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]*)(?:/(?P<prefix>.*?))?/?")
_MEMORY = "memory"
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound")
_SECRET = re.compile(r"//[^/]*@|[?#].*")
# A hidden name, which no key has and no listing shows.
_PROBES = ".probe"
# One request with its connection and body, then how long and often it is tried again: a dead store fails within 30 s.
_LIMITS = {"connect_timeout": "5s", "timeout": "20s"}
_RETRIES: Any = {
    "retry_timeout": timedelta(seconds=10),
    "max_retries": 5,
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
# The processes that started obstore's threads, which a fork does not copy: this one, or the one it was forked from.
_threads_of: set[int] = set()


class CloudStore:
    """A bucket or container, or a folder in one. Credentials come from the environment; see docs/registry.md."""

    def __init__(self, url: str) -> None:
        """Open a store; nothing is asked of the network yet.

        Args: url: ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``, or ``memory:``.
        Raises: UsageError: the URL is another one, or obstore is not installed.
            RegistryError: the environment configures no usable client.
        """
        scheme, bucket, prefix = _parse(url)
        place = "/".join(part for part in (bucket, prefix) if part)
        self.location = f"{scheme}://{place}/" if place else url
        self.is_remote = scheme != _MEMORY
        self._client = _client(self.location, scheme, bucket, prefix)
        self._is_probed = False

    def read(self, key: str, limit: int | None = None) -> bytes:
        check_key(key)
        return self._read(key, limit)

    def _read(self, key: str, limit: int | None = None) -> bytes:
        with self._calling(key) as obstore:
            try:
                found = obstore.get(self._client, key)  # nothing but the headers yet
                if limit is not None and found.meta["size"] > limit:
                    return bytes(obstore.get_range(self._client, key, start=0, length=limit))
                return bytes(found.bytes())
            except FileNotFoundError as error:
                if _NO_BUCKET.search(str(error)):
                    raise
                raise KeyError(key) from None

    def create(self, key: str, data: bytes) -> bool:
        check_key(key)
        if not self._is_probed:
            self._probe()
            self._is_probed = True
        return self._create(key, data)

    def _create(self, key: str, data: bytes) -> bool:
        """Write on condition. A write whose answer got lost is tried again by obstore, and then finds itself there."""
        with self._calling(key) as obstore:
            try:
                obstore.put(self._client, key, data, mode="create", use_multipart=False)
                return True
            except obstore.exceptions.AlreadyExistsError:
                pass
        return self._holds(key, data)

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            return self._read(key) == data
        except KeyError:
            return False

    def list(self, prefix: str, after: str = "") -> list[str]:
        if prefix:
            check_key(prefix)
        with self._calling(prefix) as obstore:
            found = obstore.list(self._client, prefix or None, offset=after or None).collect()
        paths: list[str] = [one["path"] for one in found]
        # An offset spares a service the keys before it; not every service knows offsets.
        return sorted(path for path in paths if path > after and not _is_hidden(path))

    def delete(self, key: str) -> None:
        check_key(key)
        self._delete(key)

    def sweep(self, prefix: str, before: float, *, dry_run: bool) -> int:  # noqa: ARG002
        return 0  # an object is there whole or not at all

    def _delete(self, key: str) -> None:
        with self._calling(key) as obstore:
            try:
                obstore.delete(self._client, key)
            except FileNotFoundError:
                return

    def _probe(self) -> None:
        """Refuse a store that lets a key be written twice, before it loses the event of one of two writers."""
        key = f"{_PROBES}/{secrets.token_hex(8)}"
        is_created = self._create(key, b"first")
        try:
            is_created_twice = self._create(key, b"second")
            is_kept = self._holds(key, b"first")
        finally:
            self._remove_probe(key)
        if not is_created or is_created_twice or not is_kept:
            raise RegistryError(
                f"{self.location} can't hold a registry: it let a key be written twice, so that of two writers the "
                "second would silently undo the first; expected a store that honours If-None-Match",
                hint="Upgrade the service, or put the registry elsewhere: --registry PATH",
            )

    def _remove_probe(self, key: str) -> None:
        try:
            self._delete(key)
        except RegistryError:
            return  # Whoever may add but not remove may well write to a registry; a probe is hidden and a few bytes.

    @contextmanager
    def _calling(self, key: str) -> Iterator[Any]:
        """Lend obstore, in a process where it works, and tell its errors as ours."""
        import obstore

        _check_process(self.location)
        with explained(f"{self.location}{key}"):
            yield obstore


def _parse(url: str) -> tuple[str, str, str]:
    """Split a URL into scheme, bucket and prefix, of which memory has none."""
    if url == f"{_MEMORY}:":
        return _MEMORY, "", ""
    found = _URL.fullmatch(url)
    if not found or not (not found["prefix"] or is_safe_key(found["prefix"])):
        raise UsageError(
            f"{_SECRET.sub('…', url)!r} can't hold a registry; expected {CLOUD_FORMS}",
            hint="Credentials and endpoints are set in the environment: docs/registry.md",
        )
    return found["scheme"], found["bucket"], found["prefix"] or ""


def _client(location: str, scheme: str, bucket: str, prefix: str) -> ObjectStore:
    try:
        from obstore import store
    except ImportError:
        raise UsageError(
            f"a registry at {location} needs obstore, which is not installed",
            hint="Install it: pip install 'gamesales[cloud]'",
        ) from None
    if scheme == _MEMORY:
        return store.MemoryStore()
    kind: Any = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[scheme]
    # Among the options of the store, these leave alone what the environment says about the client, such as a proxy.
    config: dict[str, Any] = dict(_LIMITS)
    if scheme == "s3":
        config["disable_bulk_delete"] = True  # several services that speak S3 have no request for many keys
    with explained(location):
        client: ObjectStore = kind(bucket, prefix=prefix or None, config=config, retry_config=_RETRIES)
        return client


def _check_process(location: str) -> None:
    """Refuse to hang: in a process that was forked after obstore was used, even a new client would wait for ever."""
    if _threads_of and os.getpid() not in _threads_of:
        raise RegistryError(
            f"{location} can't be used here: this process was forked from one that had used an object store",
            hint='Start processes anew: multiprocessing.get_context("spawn")',
        )
    _threads_of.add(os.getpid())


def _is_hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path


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
