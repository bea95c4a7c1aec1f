"""The objects of a bucket as folders and files, with the methods of a Path that listing needs.

An object store has no folders. A part of a key before a slash is the name of a folder here, as all tools show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import total_ordering
from pathlib import PurePath, PurePosixPath
from typing import BinaryIO

from gamesales.errors import InputNotFoundError
from gamesales.storage.bucket import Bucket, ObjectEntry, open_bucket, split_object_url
from gamesales.storage.stored_object import StoredObject

_MAGIC = re.compile(r"[*?[]")


@dataclass
class ObjectFolder:
    """What is in a folder: the names of its folders, and its objects by their names."""

    folders: set[str] = field(default_factory=set)
    objects: dict[str, StoredObject] = field(default_factory=dict)

    def add(self, bucket: str, entry: ObjectEntry) -> None:
        item = StoredObject.from_entry(bucket, entry)
        self.objects[item.name] = item

    def drop_markers(self) -> None:
        """Drop the empty objects that stand for folders: ``name/`` (listed as ``name``) or ``name_$folder$``."""
        for name, item in list(self.objects.items()):
            if not item.size and (name in self.folders or name.endswith("_$folder$")):
                del self.objects[name]


class ObjectTree:
    """The folders of a bucket that were listed so far. Each folder is listed once, so that a run sees one state."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._bucket: Bucket = open_bucket(url)
        self._folders: dict[str, ObjectFolder] = {}
        self._complete: list[str] = []  # folders of which everything below is listed
        self._probes: dict[str, bool] = {}
        self._objects: dict[str, StoredObject | None] = {}

    def list_folder(self, key: str) -> ObjectFolder:
        """List a folder. A folder that does not exist is empty."""
        if key in self._folders or self._is_complete(key):
            return self._folders.get(key, ObjectFolder())
        folder = self._folders[key] = ObjectFolder()
        prefixes, entries = self._bucket.list_folder(key)
        folder.folders = {prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes}
        for entry in entries:
            if entry["path"] != key:
                folder.add(self.url, entry)
        folder.drop_markers()
        return folder

    def list_all(self, key: str) -> None:
        """List a folder and all folders below it."""
        if self._is_complete(key):
            return
        folders = {key: ObjectFolder()}
        for entry in self._bucket.list_all(key):
            if entry["path"] == key:
                continue  # the marker of the folder itself
            _add_folder(folders, entry["path"].rpartition("/")[0]).add(self.url, entry)
        for folder in folders.values():
            folder.drop_markers()
        self._folders |= folders
        self._complete.append(key)

    def has_folder(self, key: str) -> bool:
        """Return whether there are objects below a key."""
        if key in self._folders or self._is_complete(key):
            folder = self._folders.get(key, ObjectFolder())
            return bool(folder.folders or folder.objects)
        if key not in self._probes:
            self._probes[key] = self._bucket.has_folder(key)
        return self._probes[key]

    def find(self, key: str) -> StoredObject | None:
        """Return the object with a key; None if there is none."""
        parent, _, name = key.rpartition("/")
        if parent in self._folders or self._is_complete(parent):
            return self.list_folder(parent).objects.get(name)
        if key not in self._objects:
            entry = self._bucket.find(key)
            self._objects[key] = None if entry is None else StoredObject.from_entry(self.url, entry)
        return self._objects[key]

    def _is_complete(self, key: str) -> bool:
        return any(key == root or key.startswith(f"{root}/") or not root for root in self._complete)


def _add_folder(folders: dict[str, ObjectFolder], key: str) -> ObjectFolder:
    """Return the folder at a key. It is added if it is new, and so are the folders above it."""
    if key not in folders:
        parent, _, name = key.rpartition("/")
        _add_folder(folders, parent).folders.add(name)
        folders[key] = ObjectFolder()
    return folders[key]


@total_ordering
class ObjectPath:
    """An object, or a folder of objects; ``str`` is its URL.

    Args:
        tree: the bucket.
        path: the key after a slash.
    """

    def __init__(self, tree: ObjectTree, path: PurePosixPath) -> None:
        self._tree, self._path = tree, path

    @classmethod
    def from_url(cls, url: str) -> ObjectPath:
        """Take a path from a URL. It sends nothing.

        Raises:
            UsageError: the URL names no bucket, or a part of its key is empty.
        """
        bucket, key = split_object_url(url)
        return cls(ObjectTree(bucket), PurePosixPath("/", key))

    def __str__(self) -> str:
        return f"{self._tree.url}{self._path}".rstrip("/")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __lt__(self, other: ObjectPath) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str | PurePath) -> ObjectPath:
        return ObjectPath(self._tree, self._path / name)

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def suffix(self) -> str:
        return self._path.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        return (self._tree.url, *self._path.parts[1:])

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(self._tree, self._path.parent)

    @property
    def parents(self) -> Sequence[ObjectPath]:
        return [ObjectPath(self._tree, path) for path in self._path.parents]

    @property
    def _key(self) -> str:
        return str(self._path)[1:]

    def joinpath(self, *names: str) -> ObjectPath:
        return ObjectPath(self._tree, self._path.joinpath(*names))

    def relative_to(self, base: ObjectPath) -> PurePosixPath:
        return self._path.relative_to(base._path)

    def resolve(self) -> ObjectPath:
        return self

    def is_symlink(self) -> bool:
        return False

    def is_dir(self) -> bool:
        return self._tree.has_folder(self._key)

    def is_file(self) -> bool:
        return self._tree.find(self._key) is not None if self._key else False

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def find(self) -> StoredObject:
        """Return the object at this path.

        Raises:
            InputNotFoundError: there is none.
        """
        item = self._tree.find(self._key) if self._key else None
        if item is None:
            raise InputNotFoundError(f"no object {self}", hint="Give the URL of an existing object")
        return item

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open the object at this path. See ``StoredObject.open``."""
        return self.find().open(mode)

    def list_all(self) -> None:
        """List this folder and everything below it with few requests."""
        self._tree.list_all(self._key)

    def list_folder(self) -> ObjectFolder:
        """List this folder. A folder that does not exist is empty."""
        return self._tree.list_folder(self._key)

    def walk(self) -> Iterator[tuple[ObjectPath, list[str], list[str]]]:
        """Yield this folder and the folders below it, each with the names of its folders and of its objects.

        As with ``os.walk``, the caller may shorten the list of folders.
        """
        self._tree.list_all(self._key)
        folder = self.list_folder()
        names = sorted(folder.folders)
        yield self, names, sorted(folder.objects)
        for name in names:
            yield from (self / name).walk()

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """Yield what matches a pattern below this folder, as ``glob.glob`` does with ``recursive=True``.

        A folder that may not be listed has no matches.
        """
        try:
            yield from _match(self, pattern.split("/"))
        except PermissionError:
            return


def _match(path: ObjectPath, parts: Sequence[str]) -> Iterator[ObjectPath]:
    """Yield what matches the parts of a pattern below a path."""
    if not parts:
        yield path
        return
    part, *rest = parts
    if not _MAGIC.search(part):
        child = path / part
        if child.is_dir() or (set(rest) <= {"**"} and child.is_file()):
            yield from _match(child, rest)
        return
    folder = path.list_folder()
    if part == "**":
        yield from _match(path, rest)
    for name in sorted(folder.folders | (set() if rest else folder.objects.keys())):
        child = path / name
        if part == "**" and not name.startswith("."):
            yield from _match(child, parts) if name in folder.folders else [child]
        elif fnmatchcase(name, part) and (part.startswith(".") or not name.startswith(".")):
            yield from _match(child, rest)
