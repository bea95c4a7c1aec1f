"""A bundle: the files of one version, and the manifest that lists each file with its size and digest.

A bundle is the folder ``registry/<model>/bundles/<utc>-<digest12>/``. The log has the digest of the manifest, and the
manifest has the digests of the files. So every byte is checked before anything parses it. Files of a remote registry
are cached on the local disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gamesales.errors import IntegrityError
from gamesales.old_keys import add_old_keys, drop_old_keys
from gamesales.storage.keys import is_safe_key
from gamesales.storage.store import Store

MANIFEST = "MANIFEST.json"
# The page of a version, for people.
REPORT_FILE = "report.html"
# A manifest holds the contract, the metrics and some golden rows: tens of kilobytes. A larger file is not a manifest.
MANIFEST_SIZE_LIMIT = 16 * 1024 * 1024
_FORMAT = 1
# Files are read whole. The largest graph that ONNX can write into one file is smaller.
_FILE_SIZE_LIMIT = 2 * 1024**3
CACHE_SIZE_LIMIT = 2 * 1024**3
_HINT = "Restore it from a backup of the registry"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CACHE_FILE = re.compile(r"[0-9a-f]{64}|\.tmp-[0-9a-f]{16}")


@dataclass(frozen=True)
class Bundle:
    """One published bundle. Its manifest was checked; its files are checked when they are read."""

    store: Store
    folder: str
    manifest: Mapping[str, Any]
    digest: str

    @property
    def location(self) -> str:
        """The folder of the bundle, for messages."""
        return f"{self.store.location}{self.folder}"

    @property
    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """The listed files: name to ``{"size": bytes, "sha256": hex}``."""
        files: Mapping[str, Mapping[str, Any]] = self.manifest["files"]
        return files

    def read(self, name: str) -> bytes:
        """Read one file and check its bytes.

        Raises:
            IntegrityError: the file is missing or not listed, or its bytes are not those that the manifest lists.
        """
        if name not in self.files:
            raise IntegrityError(f"{self.location} lists no {name}; it holds {', '.join(sorted(self.files))}")
        return _read_cached(self.store, self.files[name]["sha256"], lambda: self._fetch(name))

    def read_manifest(self) -> bytes:
        """Read the file of the manifest, and check its bytes.

        Raises:
            IntegrityError: it is missing or was changed.
        """
        return _read_cached(self.store, self.digest, lambda: _fetch_manifest(self.store, self.folder, self.digest))

    def verify(self) -> int:
        """Check every file, and that the folder holds no other; return the number of files that were checked.

        It reads the store itself, never a cached copy.

        Raises:
            IntegrityError: a file is missing, was changed, or is not listed.
        """
        _fetch_manifest(self.store, self.folder, self.digest)
        for name in self.files:
            self._fetch(name)
        names = {key.removeprefix(f"{self.folder}/") for key in self.store.list(self.folder)}
        unlisted = sorted(names - {*self.files, MANIFEST})
        if unlisted:
            raise IntegrityError(f"{self.location} holds files that its manifest does not list: {', '.join(unlisted)}")
        return len(self.files) + 1

    def _fetch(self, name: str) -> bytes:
        size, location = self.files[name]["size"], f"{self.location}/{name}"
        data = _fetch_key(self.store, f"{self.folder}/{name}", size + 1)
        if len(data) != size:
            actual = "more" if len(data) > size else f"{len(data):,}"
            raise IntegrityError(f"{location} was changed: expected {size:,} bytes, found {actual}", hint=_HINT)
        return _check_digest(data, self.files[name]["sha256"], location)


def write_bundle(store: Store, model: str, files: Mapping[str, bytes], details: Mapping[str, Any]) -> Bundle:
    """Write a bundle, its manifest last. Readers do not see it until an event of the log names it.

    Args:
        store: where to write.
        model: the first part of every key.
        files: name to content.
        details: more top-level keys of the manifest, ready for JSON.

    Raises:
        IntegrityError: the manifest could not be read again, or a file exists with other content.
    """
    listing = {name: {"size": len(data), "sha256": compute_sha256(data)} for name, data in files.items()}
    manifest = {"format": _FORMAT, "model": model, "files": listing, **add_old_keys(dict(details))}
    content = (json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    digest = compute_sha256(content)
    folder = _name_folder(model, digest)
    location = f"{store.location}{folder}/{MANIFEST}"
    # Parsed first, as a reader will parse it: a bundle that could not be opened is not written.
    _check_size(content, location)
    manifest = _parse_manifest(content, location)
    for name, data in {**files, MANIFEST: content}.items():
        _create_file(store, f"{folder}/{name}", data)
    return Bundle(store, folder, manifest, digest)


def copy_bundle(bundle: Bundle, store: Store, model: str) -> Bundle:
    """Copy a bundle to another store, byte for byte and file by file, its manifest last.

    The copy's folder has its own time, so that garbage collection leaves it alone until an event names it.

    Raises:
        IntegrityError: a file of the bundle is missing or was changed. The copy then has no manifest.
    """
    folder = _name_folder(model, bundle.digest)
    for name in bundle.files:
        _create_file(store, f"{folder}/{name}", bundle.read(name))
    _create_file(store, f"{folder}/{MANIFEST}", _fetch_manifest(bundle.store, bundle.folder, bundle.digest))
    return Bundle(store, folder, bundle.manifest, bundle.digest)


def _name_folder(model: str, digest: str) -> str:
    return f"{model}/bundles/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{digest[:12]}"


def _create_file(store: Store, key: str, data: bytes) -> None:
    if not store.create(key, data) and store.read(key) != data:
        raise IntegrityError(f"{store.location}{key} exists with other content")


def read_bundle(store: Store, folder: str, digest: str, keys: Collection[str] = ()) -> Bundle:
    """Read the manifest of the bundle in a folder.

    Args:
        store: where to read.
        folder: the key of the folder.
        digest: the SHA-256 of the manifest, from the log.
        keys: the manifest may lack other keys than these, which saves most of the time of parsing; empty: all keys.

    Raises:
        IntegrityError: the manifest is missing, was changed, or is not one that this release can read.
    """
    content = _read_cached(store, digest, lambda: _fetch_manifest(store, folder, digest))
    if keys:
        content = _select_keys(content, {"format", "model", "files", *keys})
    return Bundle(store, folder, _parse_manifest(content, f"{store.location}{folder}/{MANIFEST}"), digest)


def _select_keys(content: bytes, keys: Collection[str]) -> bytes:
    """Return a manifest with some of its keys only. A manifest that another program laid out stays as it is.

    ``write_bundle`` begins the line of a key of the manifest with one space, and all other lines with more.
    """
    start, *entries = content.removesuffix(b"\n}\n").split(b'\n "')
    if start != b"{" or not content.endswith(b"\n}\n"):
        return content
    chosen = [entry.removesuffix(b",") for entry in entries if entry.partition(b'"')[0].decode() in keys]
    return b'{"' + b',"'.join(chosen) + b"}"


def list_warnings(manifest: Mapping[str, Any]) -> list[str]:
    """List the warnings of a version's report. A manifest of an early release has none."""
    evaluation = manifest.get("evaluation")
    notices = evaluation.get("notices") if isinstance(evaluation, Mapping) else None
    return [
        str(notice.get("text", ""))
        for notice in (notices if isinstance(notices, list) else ())
        if isinstance(notice, Mapping) and notice.get("level") == "warning"
    ]


def find_data(manifest: Mapping[str, Any], role: str) -> Mapping[str, Any]:
    """Return the manifest's entry for the ``train`` or ``test`` file, or an empty mapping."""
    data = manifest.get("data")
    entry = data.get(role) if isinstance(data, Mapping) else None
    return entry if isinstance(entry, Mapping) else {}


def sort_for_removal(keys: Iterable[str]) -> list[str]:
    """Sort the keys of bundles with manifests first: a bundle without its manifest counts as removed."""
    return sorted(keys, key=lambda key: (not key.endswith(f"/{MANIFEST}"), key))


def compute_sha256(data: bytes) -> str:
    """Return the SHA-256 digest as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def _fetch_manifest(store: Store, folder: str, digest: str) -> bytes:
    location = f"{store.location}{folder}/{MANIFEST}"
    content = _fetch_key(store, f"{folder}/{MANIFEST}", MANIFEST_SIZE_LIMIT + 1)
    _check_size(content, location)
    return _check_digest(content, digest, location)


def _check_size(content: bytes, location: str) -> None:
    if len(content) > MANIFEST_SIZE_LIMIT:
        raise IntegrityError(f"{location} is larger than the limit of {MANIFEST_SIZE_LIMIT:,} bytes")


def _parse_manifest(content: bytes, location: str) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{location} is not JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        actual = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise IntegrityError(
            f"{location} has format {actual!r}; this release reads {_FORMAT}", hint="Upgrade gamesales"
        )
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(_is_valid_entry(name, entry) for name, entry in files.items()):
        raise IntegrityError(f"{location} must list its files as plain names, each with a size and a sha256")
    if len({name.casefold() for name in files}) != len(files):
        raise IntegrityError(f"{location} lists file names that differ in case only")
    return {**drop_old_keys(manifest), "files": files}  # a file may be named like an old key


def _is_valid_entry(name: str, entry: Any) -> bool:
    return (
        "/" not in name
        and is_safe_key(name)
        and name.casefold() != MANIFEST.casefold()
        and isinstance(entry, dict)
        and type(entry.get("size")) is int  # True is an instance of int too
        and 0 <= entry["size"] <= _FILE_SIZE_LIMIT
        and isinstance(entry.get("sha256"), str)
        and bool(_SHA256.fullmatch(entry["sha256"]))
    )


def _read_cached(store: Store, digest: str, fetch: Callable[[], bytes]) -> bytes:
    """Fetch the bytes with a digest. For a remote store, use the copy on the local disk if there is one."""
    if not store.is_remote:
        return fetch()
    cache = open_default_cache()
    data = cache.get(digest) if cache else None
    if data is None:
        data = fetch()
        if cache:
            cache.put(digest, data)
    return data


def _fetch_key(store: Store, key: str, limit: int) -> bytes:
    try:
        return store.read(key, limit)
    except KeyError:
        raise IntegrityError(f"{store.location}{key} is missing", hint=_HINT) from None


def _check_digest(data: bytes, expected: str, location: str) -> bytes:
    actual = compute_sha256(data)
    if actual != expected:
        raise IntegrityError(
            f"{location} was changed: expected sha256 {expected}, found {actual}",
            hint=f"{_HINT}, or promote another version",
        )
    return data


def open_default_cache() -> Cache | None:
    """Open the cache in ``$GAMESALES_CACHE``, or else where the system keeps caches; None if there is no home."""
    location = os.environ.get("GAMESALES_CACHE")
    if location:
        return Cache(Path(location))
    system = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not system.is_absolute():
        system = Path(os.path.expanduser("~/.cache"))  # noqa: PTH111 - Path's own raises where there is no home
    return Cache(system / "gamesales") if system.is_absolute() else None


class Cache:
    """A folder of files that are named by the SHA-256 of their bytes, so that none is ever out of date.

    A file is checked whenever it is read, so it need not be trusted. A failure of the cache is never an error. Above
    the limit, the least recently used files are removed.

    Args:
        folder: made when the first file is put.
        limit: bytes.
    """

    def __init__(self, folder: Path, limit: int = CACHE_SIZE_LIMIT) -> None:
        self._folder = folder / "sha256"
        self._limit = limit

    def get(self, digest: str) -> bytes | None:
        """Return the bytes with a digest, or None. A damaged file is removed."""
        if not _SHA256.fullmatch(digest):
            return None
        path = self._folder / digest
        try:
            data = path.read_bytes()
        except OSError:
            return None
        is_sound = compute_sha256(data) == digest
        with suppress(OSError):
            if is_sound:
                os.utime(path)  # used now
            else:
                path.unlink()
        return data if is_sound else None

    def put(self, digest: str, data: bytes) -> None:
        """Keep bytes under their digest, if possible."""
        if not _SHA256.fullmatch(digest) or len(data) > self._limit:
            return
        temporary = self._folder / f".tmp-{secrets.token_hex(8)}"
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                temporary.write_bytes(data)
                temporary.replace(self._folder / digest)
            finally:
                temporary.unlink(missing_ok=True)
            self._shrink()

    def _shrink(self) -> None:
        """Remove the least recently used files, also stale temporary files, but no file that is not the cache's."""
        entries = [entry for entry in os.scandir(self._folder) if _CACHE_FILE.fullmatch(entry.name)]
        files = [(entry.stat(follow_symlinks=False), entry.path) for entry in entries]
        excess = sum(stat.st_size for stat, _ in files) - self._limit
        for stat, path in sorted(files, key=lambda file: file[0].st_mtime_ns):
            if excess <= 0:
                return
            Path(path).unlink(missing_ok=True)
            excess -= stat.st_size
