"""A registry in an object store: Amazon S3 and compatible services, Google Cloud Storage, Azure Blob Storage.

The one primitive is a conditional write: ``If-None-Match: *``, decided by the service. Some services accept such a
request and ignore the condition. So a store is probed before anything is written.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from gamesales.errors import RegistryError, TryAgainError, UsageError, format_install
from gamesales.storage.keys import CLOUD_FORMS, FileStat, check_key, hide_secrets, is_safe_key

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_T = TypeVar("_T")
_URL = re.compile(r"(?P<scheme>s3|gs|az)://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]*)(?:/(?P<prefix>.*?))?/?")
_MEMORY = "memory"
# A hidden name. No key has one, and no listing shows it.
_PROBES = ".probe"
# How long a connection and a request with its body may take; how long and how often a request is repeated. A silent
# store fails within 45 s.
_TIMEOUTS = {"connect_timeout": "5s", "timeout": "20s"}
_RETRIES: Any = {
    "retry_timeout": timedelta(seconds=10),
    "max_retries": 5,
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
# Seconds, at most, before each repetition of a write that the service could not decide.
_CONFLICT_WAITS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
# The processes that started obstore's threads: this one, or the one that it was forked from. A fork copies no threads.
_threads_of: set[int] = set()

# How to read the text of obstore's errors.
_STATUS = re.compile(r"status code: (\d{3})")
_MESSAGE = re.compile(r"<Message>([^<\n]*)")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound")
# The address where machines in a cloud get their identity. Elsewhere nothing answers there, or it knows no identity.
_IDENTITY = re.compile(r"169\.254\.|latest/api/token|token request|[Cc]redential|Access ?Key|Account must be specified")
# Statuses that mean "not now", like all from 500 on.
_BUSY = {408, 409, 425, 429}

_CREDENTIALS_HINT = "Check the credentials in the environment, and what they allow: docs/reference/object-stores.md"
_BUCKET_HINT = "Make the bucket or container first, or name another"
_CONDITION_HINT = (
    "The service must support writes on condition (If-None-Match); put the registry elsewhere: --registry PATH"
)
_PLAIN_HTTP_HINT = "An address without TLS must be allowed, as by AWS_ALLOW_HTTP=true: docs/reference/object-stores.md"
_SETTINGS_HINT = "Check the settings in the environment: docs/reference/object-stores.md"
_LATER_HINT = "Check the network and the service, then run it again"


class CloudStore:
    """A bucket or container, or a folder in one. See docs/reference/object-stores.md.

    Opening a store sends no request.

    Args:
        url: ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``, or ``memory:``.
        timeout: the seconds that one request may take, its body included; 20 by default.

    Raises:
        UsageError: the URL is another one, or obstore is not installed.
        RegistryError: the environment configures no usable client.
    """

    def __init__(self, url: str, timeout: int | None = None) -> None:
        scheme, bucket, prefix = _parse_url(url)
        path = "/".join(part for part in (bucket, prefix) if part)
        self.location = f"{scheme}://{path}/" if path else url
        self.is_remote = scheme != _MEMORY
        self._client = make_client(self.location, scheme, bucket, prefix, timeout)
        self._is_probed = False

    def read(self, key: str, limit: int | None = None) -> bytes:
        check_key(key)
        return self._read(key, limit)

    def create(self, key: str, data: bytes) -> bool:
        check_key(key)
        self.check_writable("")
        return self._create(key, data)

    def check_writable(self, prefix: str) -> None:  # noqa: ARG002
        if not self._is_probed:  # any key tells, because credentials are those of a bucket
            self._probe()
            self._is_probed = True

    def list(self, prefix: str, after: str = "") -> list[str]:
        # An offset saves a service the keys before it, but not every service knows offsets.
        return sorted(path for path in self._list_files(prefix, after) if path > after)

    def list_files(self, prefix: str) -> dict[str, FileStat]:
        return self._list_files(prefix)

    def list_folders(self) -> Sequence[str]:
        listing = self._send("", lambda obstore: obstore.list_with_delimiter(self._client))
        names = (path.rstrip("/") for path in listing["common_prefixes"])
        return sorted(name for name in names if not name.startswith("."))

    def delete(self, key: str) -> None:
        check_key(key)
        self._delete(key)

    def sweep(self, prefix: str, before: float, *, dry_run: bool) -> int:  # noqa: ARG002
        return 0  # an object exists whole or not at all

    def _list_files(self, prefix: str, after: str = "") -> dict[str, FileStat]:
        if prefix:
            check_key(prefix)

        def request(obstore: Any) -> Any:
            return obstore.list(self._client, prefix or None, offset=after or None).collect()

        objects = self._send(prefix, request)
        files = {entry["path"]: FileStat(entry["size"], entry["last_modified"].timestamp()) for entry in objects}
        return {path: file for path, file in files.items() if not path.startswith(".") and "/." not in path}

    def _read(self, key: str, limit: int | None = None) -> bytes:
        def request(obstore: Any) -> bytes | None:
            try:
                response = obstore.get(self._client, key)  # only the headers yet
                if limit is not None and response.meta["size"] > limit:
                    return bytes(obstore.get_range(self._client, key, start=0, length=limit))
                return bytes(response.bytes())
            except FileNotFoundError as error:
                if _NO_BUCKET.search(str(error)):
                    raise
                return None

        data = self._send(key, request)
        if data is None:
            raise KeyError(key)
        return data

    def _create(self, key: str, data: bytes) -> bool:
        """Write a key if it is absent. If an answer gets lost, the write is repeated and finds its own bytes there.

        A service may answer that the key exists when it only could not decide: two writes at once, as on S3 under load
        and on Ceph. Then the key is still absent, and the write is repeated.
        """

        def request(obstore: Any) -> bool:
            try:
                obstore.put(self._client, key, data, mode="create", use_multipart=False)
            except obstore.exceptions.AlreadyExistsError:
                return False
            return True

        for wait in (*_CONFLICT_WAITS, None):
            if self._send(key, request):
                return True
            with suppress(KeyError):
                return self._read(key) == data
            if wait is not None:
                time.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - writers must not meet again
        raise TryAgainError(
            f"{self.location}{key}: the service refused the write because the key exists, but the key does not exist "
            f"(tried {len(_CONFLICT_WAITS) + 1} times)",
            hint=_LATER_HINT,
        )

    def _has_content(self, key: str, data: bytes) -> bool:
        try:
            return self._read(key) == data
        except KeyError:
            return False

    def _delete(self, key: str) -> None:
        def request(obstore: Any) -> None:
            with suppress(FileNotFoundError):
                obstore.delete(self._client, key)

        self._send(key, request)

    def _probe(self) -> None:
        """Refuse a store that lets a key be written twice, before it loses the event of one of two writers."""
        key = f"{_PROBES}/{secrets.token_hex(8)}"
        is_created = self._create(key, b"first")  # if the store fails, a removal would only fail later
        try:
            is_created_twice = self._create(key, b"second")
            is_kept = self._has_content(key, b"first")
        finally:
            with suppress(RegistryError):  # credentials that can't remove may still write to a registry
                self._delete(key)
        if not is_created or is_created_twice or not is_kept:
            raise RegistryError(
                f"{self.location} can't hold a registry: it let a key be written twice, so the second of two "
                "writers would silently undo the first; expected a store that honors If-None-Match",
                hint="Upgrade the service, or put the registry elsewhere: --registry PATH",
            )

    def _send(self, key: str, request: Callable[[Any], _T]) -> _T:
        """Call a request about a key or a prefix. See ``send``."""
        return send(self.location, key, request)


def send(location: str, key: str, request: Callable[[Any], _T]) -> _T:
    """Call a request with obstore, if it works in this process, and translate its errors.

    obstore repeats some failed requests. It does not repeat a write whose connection was reset, a request that timed
    out, or an answer that was cut. Every request of a store may be repeated, so it is called again.

    Args:
        location: the URL of the store, with a slash at its end.
        key: the key or the prefix, for messages.
        request: sends one request. Its argument is the module obstore.
    """
    import obstore

    check_process(location)
    repetitions, deadline = 0, time.monotonic() + _RETRIES["retry_timeout"].total_seconds()
    while True:
        try:
            with translate_errors(f"{location}{key}"):
                return request(obstore)
        except TryAgainError:
            if repetitions == _RETRIES["max_retries"] or (repetitions and time.monotonic() > deadline):
                raise
        repetitions += 1
        time.sleep(_RETRIES["backoff"]["init_backoff"].total_seconds())


def _parse_url(url: str) -> tuple[str, str, str]:
    """Split a URL into scheme, bucket and prefix. The memory store has only a scheme."""
    if url == f"{_MEMORY}:":
        return _MEMORY, "", ""
    match = _URL.fullmatch(url)
    if not match or not (not match["prefix"] or is_safe_key(match["prefix"])):
        raise UsageError(
            f"{hide_secrets(url)!r} can't hold a registry; expected {CLOUD_FORMS}",
            hint="Credentials and endpoints are set in the environment: docs/reference/object-stores.md",
        )
    return match["scheme"], match["bucket"], match["prefix"] or ""


def make_client(location: str, scheme: str, bucket: str, prefix: str = "", timeout: int | None = None) -> ObjectStore:
    """Make a client for a bucket or container, or a folder in one, from the environment. It sends nothing.

    Args:
        location: the URL, for messages.
        scheme: ``s3``, ``gs``, ``az`` or ``memory``.
        bucket: the name of the bucket or container.
        prefix: the folder.
        timeout: the seconds that one request may take, its body included; 20 by default.

    Raises:
        UsageError: obstore is not installed.
        RegistryError: the environment configures no usable client.
    """
    try:
        from obstore import store
    except ImportError:
        raise UsageError(
            f"{location} needs obstore, which is not installed",
            hint="Install it: " + format_install("gamesales[cloud]"),
        ) from None
    if scheme == _MEMORY:
        return store.MemoryStore()
    kind: Any = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[scheme]
    # As options of the store, the timeouts do not replace what the environment says about the client, such as a proxy.
    config: dict[str, Any] = {**_TIMEOUTS, **({"timeout": f"{timeout}s"} if timeout else {})}
    if scheme == "s3":
        config["disable_bulk_delete"] = True  # several S3-compatible services have no request for many keys
    with translate_errors(location):
        client: ObjectStore = kind(bucket, prefix=prefix or None, config=config, retry_config=_RETRIES)
        return client


def check_process(location: str) -> None:
    """Refuse a process that was forked after obstore was used. There, even a new client would wait forever."""
    if _threads_of and os.getpid() not in _threads_of:
        raise RegistryError(
            f"{location} can't be used here: this process was forked from one that had used an object store",
            hint='Start processes with multiprocessing.get_context("spawn")',
        )
    _threads_of.add(os.getpid())


@contextmanager
def translate_errors(location: str) -> Iterator[None]:
    """Turn obstore's errors into errors of this package, whose message begins with the location."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, NotImplementedError, ValueError) as error:
        raise make_error(location, str(error)) from None


def make_error(location: str, text: str) -> RegistryError | TryAgainError:
    """Return a TryAgainError if the operation with this error text may work later, else a RegistryError."""
    message = f"{location}: {_summarize(text)}"
    match = _STATUS.search(text)
    status = int(match[1]) if match else 0
    if _IDENTITY.search(text) or status in {401, 403}:
        return RegistryError(message, hint=_CREDENTIALS_HINT)
    if status == 404:
        return RegistryError(message, hint=_BUCKET_HINT)
    if status == 501 or "conditional put" in text:
        return RegistryError(message, hint=_CONDITION_HINT)
    if "builder error" in text:
        return RegistryError(message, hint=_PLAIN_HTTP_HINT)
    if status in _BUSY or status >= 500 or (not status and "HTTP error" in text):
        return TryAgainError(message, hint=_LATER_HINT)
    return RegistryError(message, hint=_SETTINGS_HINT)


def _summarize(text: str) -> str:
    """Return the cause in an error's text, without the URL, which may hold a signature."""
    line = text.partition("\n")[0].rpartition(" - ")[2].partition(": <")[0]
    match = _MESSAGE.search(text)
    return f"{line} ({match[1]})" if match else line
