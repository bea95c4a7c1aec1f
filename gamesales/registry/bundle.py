"""A bundle: the files of one version, and the manifest that lists each with its size and digest.

``registry/<model>/bundles/<utc>-<digest12>/MANIFEST.json`` and the files beside it. The log names the digest of
the manifest, the manifest names the digests of the files; so every byte is checked before anything parses it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gamesales.errors import IntegrityError
from gamesales.old_keys import add_old_keys, drop_old_keys
from gamesales.registry.keys import is_safe_key
from gamesales.registry.store import Store

FORMAT = 1
MANIFEST = "MANIFEST.json"
# A manifest holds the contract, the metrics and some golden rows: tens of kilobytes. More is not a manifest.
MANIFEST_SIZE_LIMIT = 16 * 1024 * 1024
# A file is read whole, and the largest graph that ONNX can write into one file has less.
FILE_SIZE_LIMIT = 2 * 1024**3
_HINT = "Restore it from a backup of the registry"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256(data: bytes) -> str:
    """Return the SHA-256 digest as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Bundle:
    """One published bundle whose manifest was checked; files are checked as they are read."""

    store: Store
    folder: str
    manifest: Mapping[str, Any]
    digest: str

    @property
    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """The listed files: name to ``{"size": bytes, "sha256": hex}``."""
        files: Mapping[str, Mapping[str, Any]] = self.manifest["files"]
        return files

    def read(self, name: str) -> bytes:
        """Return the checked bytes of one file.

        Raises: IntegrityError: the file is missing, not listed, or not the bytes that the manifest names.
        """
        if name not in self.files:
            raise IntegrityError(f"{self.where} lists no {name}; it holds {', '.join(sorted(self.files))}")
        return _copied(self.store, self.files[name]["sha256"], lambda: self._fetch(name))

    def _fetch(self, name: str) -> bytes:
        size, where = self.files[name]["size"], f"{self.where}/{name}"
        data = _read(self.store, f"{self.folder}/{name}", size + 1)
        if len(data) != size:
            found = "more" if len(data) > size else f"{len(data):,}"
            raise IntegrityError(f"{where} was changed: expected {size:,} bytes, found {found}", hint=_HINT)
        return _checked(data, self.files[name]["sha256"], where)

    def verify(self) -> int:
        """Check every file, and that no unlisted one lies beside them; return how many files were checked.

        It reads what the store itself holds, whatever copies there are.
        """
        _fetch_manifest(self.store, self.folder, self.digest)
        for name in self.files:
            self._fetch(name)
        found = {key.removeprefix(f"{self.folder}/") for key in self.store.list(self.folder)}
        unlisted = sorted(found - {*self.files, MANIFEST})
        if unlisted:
            raise IntegrityError(f"{self.where} holds files that its manifest does not list: {', '.join(unlisted)}")
        return len(self.files) + 1

    @property
    def where(self) -> str:
        return f"{self.store.location}{self.folder}"


def write_bundle(store: Store, model: str, files: Mapping[str, bytes], details: Mapping[str, Any]) -> Bundle:
    """Write a bundle, its manifest last; nobody sees it until an event of the log names it.

    Args:
        store: where the registry lives.
        model: the model's name, the first part of every key.
        files: name to content.
        details: what else the manifest says, ready for JSON; it becomes top-level keys of the manifest.
    """
    listing = {name: {"size": len(data), "sha256": sha256(data)} for name, data in files.items()}
    manifest = {"format": FORMAT, "model": model, "files": listing, **add_old_keys(dict(details))}
    content = (json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    digest = sha256(content)
    folder = f"{model}/bundles/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{digest[:12]}"
    # Read first as whoever opens it will read it: what nobody could open is not written.
    _check_size(content, f"{store.location}{folder}/{MANIFEST}")
    manifest = _parsed(content, f"{store.location}{folder}/{MANIFEST}")
    for name, data in {**files, MANIFEST: content}.items():
        if not store.create(f"{folder}/{name}", data) and store.read(f"{folder}/{name}") != data:
            raise IntegrityError(f"{store.location}{folder}/{name} exists with other content")
    return Bundle(store, folder, manifest, digest)


def open_bundle(store: Store, folder: str, digest: str) -> Bundle:
    """Open a bundle by the folder and the manifest digest that the log names.

    Raises: IntegrityError: the manifest is missing, was changed, or is not one that this release can read.
    """
    content = _copied(store, digest, lambda: _fetch_manifest(store, folder, digest))
    return Bundle(store, folder, _parsed(content, f"{store.location}{folder}/{MANIFEST}"), digest)


def manifest_first(keys: Iterable[str]) -> list[str]:
    """Return a bundle's keys in the order in which to remove them: one without its manifest is seen to be no more."""
    return sorted(keys, key=lambda key: (not key.endswith(f"/{MANIFEST}"), key))


def _fetch_manifest(store: Store, folder: str, digest: str) -> bytes:
    where = f"{store.location}{folder}/{MANIFEST}"
    content = _read(store, f"{folder}/{MANIFEST}", MANIFEST_SIZE_LIMIT + 1)
    _check_size(content, where)
    return _checked(content, digest, where)


def _check_size(content: bytes, where: str) -> None:
    if len(content) > MANIFEST_SIZE_LIMIT:
        raise IntegrityError(f"{where} is larger than the limit of {MANIFEST_SIZE_LIMIT:,} bytes")


def _parsed(content: bytes, where: str) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{where} is not JSON: {error}") from None
    checked: dict[str, Any] = drop_old_keys(_check_manifest(manifest, where))
    return checked


def _check_manifest(manifest: Any, where: str) -> dict[str, Any]:
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise IntegrityError(f"{where} has format {found!r}; this release reads {FORMAT}", hint="Upgrade gamesales")
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(_is_listing(name, entry) for name, entry in files.items()):
        raise IntegrityError(f"{where} must list its files as plain names, each with a size and a sha256")
    if len({name.casefold() for name in files}) != len(files):
        raise IntegrityError(f"{where} lists file names that differ in case only")
    return manifest


def _is_listing(name: str, entry: Any) -> bool:
    return (
        "/" not in name
        and is_safe_key(name)
        and name.casefold() != MANIFEST.casefold()
        and isinstance(entry, dict)
        and type(entry.get("size")) is int  # True is an instance of int too
        and 0 <= entry["size"] <= FILE_SIZE_LIMIT
        and isinstance(entry.get("sha256"), str)
        and bool(_SHA256.fullmatch(entry["sha256"]))
    )


def _copied(store: Store, digest: str, fetch: Callable[[], bytes]) -> bytes:
    """Fetch the bytes with a digest; of a remote store, take the copy on the local disk if there is one."""
    if not store.is_remote:
        return fetch()
    from gamesales.registry.cache import default_cache

    cache = default_cache()
    data = cache.get(digest) if cache else None
    if data is None:
        data = fetch()
        if cache:
            cache.put(digest, data)
    return data


def _read(store: Store, key: str, limit: int) -> bytes:
    try:
        return store.read(key, limit)
    except KeyError:
        raise IntegrityError(f"{store.location}{key} is missing", hint=_HINT) from None


def _checked(data: bytes, expected: str, where: str) -> bytes:
    found = sha256(data)
    if found != expected:
        raise IntegrityError(
            f"{where} was changed: expected sha256 {expected}, found {found}",
            hint=f"{_HINT}, or promote another version",
        )
    return data
