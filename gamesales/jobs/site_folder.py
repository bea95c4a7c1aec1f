"""The folder of a site: write only what changed, never half of it, and leave files of others alone.

The folder has a list of the files that belong to the site, ``gamesales-site.json``. The list is written before the
first new file and after the last, so that a killed build leaves no file that the next build takes for a file of others.
A page is written before the pages that link to it. A file takes its place by a rename.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from gamesales.data.files import WRITE_ERRORS, explain_write_errors, replace_file
from gamesales.errors import GamesalesError, TryAgainError, UsageError
from gamesales.storage.keys import is_safe_key

LIST_FILE = "gamesales-site.json"
_FORMAT = 1
# Files that are read and written at a time: reading may need a network.
_WORKERS = 8
_TEMPORARY = ".gamesales-{}.tmp"  # as replace_file names them
# A temporary file of this age belongs to no build that runs.
_ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class SiteFile:
    """A file of a site.

    Attributes:
        path: below the folder of the site, with slashes.
        identity: names the content. A file with the same identity is not written again.
        read: returns the content.
        size: in bytes; None if it is not known.
    """

    path: str
    identity: str
    read: Callable[[], bytes]
    size: int | None = None


def make_site_file(path: str, content: bytes) -> SiteFile:
    """Make a file of a site from its content."""
    return SiteFile(path, hashlib.sha256(content).hexdigest(), lambda: content, len(content))


class SiteFolder:
    """A folder that holds a site, or that will hold a site.

    Args:
        path: a folder that holds a site or nothing, or that does not exist.

    Raises:
        UsageError: it is a file, a link that leads nowhere, or a folder that holds other files.
    """

    def __init__(self, path: Path) -> None:
        if "://" in str(path) or ":/" in str(path):
            raise UsageError(
                f"--site expects a folder on this disk, received {path}",
                hint="Write the site to a folder, and upload the folder: --site site",
            )
        if path.exists() and not path.is_dir():
            raise UsageError(f"--site expects a folder, received the file {path}", hint="For example: --site site")
        if path.is_symlink() and not path.exists():
            raise UsageError(
                f"--site expects a folder, and {path} is a link to {path.readlink()}, which does not exist",
                hint=f"mkdir -p {shlex.quote(str(path.resolve()))}",
            )
        self.path = path
        self._identities = self._read_list()
        self._planned: dict[str, str] = {}

    def _read_list(self) -> dict[str, str]:
        try:
            document = json.loads((self.path / LIST_FILE).read_bytes())
            files = document["files"] if document["format"] == _FORMAT else None
        except FileNotFoundError:
            names = sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else []
            if names := [name for name in names if not fnmatch(name, _TEMPORARY.format("*"))]:  # of a killed build
                raise UsageError(
                    f"{self.path} holds other files, such as {names[0]}, and no site of gamesales",
                    hint="Give a new or an empty folder: --site site",
                ) from None
            return {}
        except (ValueError, LookupError, TypeError):
            files = None
        if not isinstance(files, dict) or not all(map(_is_entry, files.items())):
            raise UsageError(
                f"{self.path / LIST_FILE} can't be read; expected the list of the files of a site",
                hint="Delete this folder if it holds only a site, or give another folder",
            )
        return files

    def reserve(self, paths: Sequence[str]) -> None:
        """Check that no file of others has one of these paths, and claim the paths.

        Raises:
            UsageError: a file of others has such a path. Nothing was changed.
        """
        for path in paths:
            if path not in self._identities and (self.path / path).exists():
                raise UsageError(
                    f"{self.path / path} is not a file of the site in {self.path}, and would be replaced",
                    hint="Move it elsewhere, or give another folder",
                )
        claims = {path: self._identities.get(path, "") for path in paths}
        if not claims.keys() <= self._identities.keys():
            self.path.mkdir(parents=True, exist_ok=True)
            self._write_list({**self._identities, **claims})
        self._identities |= claims

    def write(self, files: Sequence[SiteFile]) -> Mapping[str, str]:
        """Write the files that changed.

        Returns:
            Why a file can't be read, by its path. Such a file is not written.

        Raises:
            TryAgainError: the disk is full, access is denied, or an object store does not answer.
            UsageError: a folder has the path of a file.
        """
        for parent in sorted({(self.path / file.path).parent for file in files}):
            parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_WORKERS) as pool:
            failures = dict(zip([file.path for file in files], pool.map(self._write, files), strict=True))
        self._planned |= {file.path: file.identity for file in files if not failures[file.path]}
        return {path: failure for path, failure in failures.items() if failure}

    def _write(self, file: SiteFile) -> str:
        """Write a file if it changed, and return why it can't be read; empty if it can."""
        target = self.path / file.path
        if self._identities.get(file.path) == file.identity and _has_size(target, file.size):
            return ""
        try:
            content = file.read()
        except TryAgainError:
            raise
        except GamesalesError as error:
            return error.message
        except (OSError, KeyError) as error:
            return f"{type(error).__name__}: {error}"
        temporary = self.path / _TEMPORARY.format(secrets.token_hex(8))
        if target.is_dir():
            raise UsageError(f"{target} is a folder; expected a page of the site", hint="Move the folder elsewhere")
        try:
            with explain_write_errors(WRITE_ERRORS, target):
                temporary.write_bytes(content)
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return ""

    def finish(self) -> None:
        """Remove the files of an earlier build that no page links to any more, and write the list of the files."""
        for path in sorted(self._identities.keys() - self._planned.keys()):
            (self.path / path).unlink(missing_ok=True)
            with suppress(OSError):  # the folder has other files
                (self.path / path).parent.rmdir()
        for temporary in self.path.glob(_TEMPORARY.format("*")):  # of a killed build
            with suppress(FileNotFoundError):
                if time.time() - temporary.stat().st_mtime > _ABANDONED_SECONDS:
                    temporary.unlink()
        self._identities = dict(self._planned)
        self._write_list(self._identities)

    def _write_list(self, files: Mapping[str, str]) -> None:
        text = json.dumps({"format": _FORMAT, "files": files}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        path = self.path / LIST_FILE
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            with replace_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")


def _is_entry(entry: tuple[object, object]) -> bool:
    path, identity = entry
    return isinstance(path, str) and is_safe_key(path) and isinstance(identity, str)


def _has_size(path: Path, size: int | None) -> bool:
    try:
        return path.is_file() and size in (None, path.stat().st_size)
    except OSError:
        return False
