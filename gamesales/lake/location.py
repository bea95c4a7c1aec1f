"""Where a Delta table is: a folder on a disk, or a folder of an object store. Open it and create it.

Two writers of a table must not write the same version of its log. A local disk and an object store with conditional
writes can create a file only if it is absent, and Delta Lake relies on that. An object store that only claims to have
conditional writes is refused: the store is probed before the first write, as it is for a registry.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import pyarrow as pa

from gamesales.data.files import fsync
from gamesales.errors import (
    GamesalesError,
    InputNotFoundError,
    RegistryError,
    TryAgainError,
    UsageError,
    format_install,
)
from gamesales.storage.store import Store, open_store

if TYPE_CHECKING:
    from deltalake import DeltaTable

T = TypeVar("T")
PARTITION = "run_date"
_FILE_URL = "file://"
# Seconds for one request: a part of 100 MB over a slow line.
_TIMEOUT = 300
_RETRIES = {"connect_timeout": "5s", "timeout": f"{_TIMEOUT}s", "max_retries": "5", "retry_timeout": "60s"}
# Settings of deltalake that make two writers of a table unsafe, or that this release can't check.
_UNSAFE_SETTINGS = ("AWS_S3_ALLOW_UNSAFE_RENAME", "AWS_S3_LOCKING_PROVIDER")
# For how long a file that no row needs any more stays, so that earlier versions of the table are readable.
RETENTION_PROPERTY = "delta.deletedFileRetentionDuration"
_PROPERTIES = {
    RETENTION_PROPERTY: "interval 30 days",
    # Opening a table reads the last checkpoint and the commits after it.
    "delta.checkpointInterval": "20",
    # A version of the table can be read as long as the log has it and no vacuum has removed its files.
    "delta.logRetentionDuration": "interval 3650 days",
}
# Seconds before each repetition of the creation of a table.
_CREATE_WAITS = (0.1, 0.4, 1.6)
# Seconds before a table is read again, if its store failed.
_READ_WAIT = 0.2
# The part of a URL that may hold a signature.
_URL_QUERY = re.compile(r"(https?://[^\s?]+)\?\S+")
# The answer of a service, an XML document with a message.
_XML_ANSWER = re.compile(r"; <\?xml.*?<Message>([^<;]*).*")
# In the text of an error that a request caused, also if deltalake read a checkpoint.
_STORE_ERROR = "HTTP error"
# Answers of a store that no repetition changes.
_REFUSAL = re.compile(r"\b40[134] (Unauthorized|Forbidden|Not Found)")
_REFUSAL_HINT = "Check the bucket, and what the credentials in the environment allow: docs/reference/object-stores.md"
_LATER_HINT = "Check the network, the bucket and your permissions, then run it again"


@dataclass(frozen=True)
class TableLocation:
    """The location of a table; ``text`` is a folder, or a URL as for a registry. It can be pickled."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def folder(self) -> Path | None:
        """The folder of a table on this disk; None for a table in an object store."""
        if self.text.startswith(_FILE_URL):
            return Path(unquote(self.text.removeprefix(_FILE_URL)))
        return None if "://" in self.text else Path(self.text)

    @property
    def uri(self) -> str:
        """The location as deltalake names it."""
        return self.text.rstrip("/") if self.folder is None else str(self.folder)

    def open_store(self) -> Store:
        """Open the files of the table. It sends nothing.

        Raises:
            UsageError: the URL is of another kind, or obstore is not installed.
        """
        with explain_store_errors():
            return open_store(self.uri, timeout=_TIMEOUT)

    def open_table(self, version: int | None = None) -> DeltaTable | None:
        """Open the table, or one of its earlier versions; None if there is no table.

        Raises:
            UsageError: deltalake is not installed, or the environment makes writing to a table unsafe.
            InputNotFoundError: the table has no such version.
            TryAgainError: the table can't be read now.
        """
        import_deltalake()
        with explain_table_errors(self):
            return read_again(lambda: self._open_table(version))

    def _open_table(self, version: int | None) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        from gamesales.scoring.delta_input import describe_missing_version

        try:
            return DeltaTable(self.uri, version, self.make_options())
        except TableNotFoundError:
            return None
        except DeltaError as error:
            if version is None or _STORE_ERROR in str(error):
                raise
            newest = DeltaTable(self.uri, None, self.make_options())
            if (message := describe_missing_version(str(self), newest, version)) is None:
                raise
            raise InputNotFoundError(message, hint=f"Read the newest version: version={newest.version()}") from None

    def create_table(self, schema: pa.Schema) -> DeltaTable:
        """Create the table, unless another writer has just created it, and open it.

        Raises:
            TryAgainError: the table can't be written now.
        """
        from deltalake.exceptions import DeltaError

        for wait in (*_CREATE_WAITS, None):
            try:
                self._create_table(schema)
            except (DeltaError, OSError) as error:
                # Another writer created it at the same time, or an object store could not decide between two writes.
                if self.open_table() is None and wait is None:
                    raise TryAgainError(f"{self} can't be created: {summarize(error)}", hint=_LATER_HINT) from None
            if (table := self.open_table()) is not None:
                self.sync_log(0)
                return table
            time.sleep(wait or 0)
        raise TryAgainError(f"{self}: the table was removed while this run created it", hint=_LATER_HINT)

    def _create_table(self, schema: pa.Schema) -> None:
        deltalake = import_deltalake()
        deltalake.DeltaTable.create(
            self.uri,
            schema,
            mode="ignore",
            partition_by=[PARTITION],
            name="predictions",
            description="Predictions of gamesales. A run replaces the rows of its run_date.",
            configuration=_PROPERTIES,
            storage_options=self.make_options(),
            # A second try would write the columns again, over those that another writer has added.
            commit_properties=deltalake.CommitProperties(max_commit_retries=0),
        )

    def sync_log(self, first: int) -> None:
        """Force the versions of a table on this disk from ``first`` on to the disk. deltalake does not do it."""
        if self.folder is not None:
            log = self.folder / "_delta_log"
            for version in count(first):
                try:
                    fsync(log / f"{version:020d}.json")
                except FileNotFoundError:
                    break
            fsync(log)
            fsync(self.folder)

    def make_options(self) -> dict[str, str] | None:
        """Return the settings of the object store that must not depend on the environment.

        Raises:
            UsageError: a setting of the environment makes writing to a table unsafe.
        """
        if self.folder is not None:
            return None
        if not self.text.startswith("s3:"):
            return dict(_RETRIES)
        for name in _UNSAFE_SETTINGS:
            if os.environ.get(name, "").lower() not in {"", "false", "0"}:
                raise UsageError(
                    f"{name} is set; {self} is written with conditional writes (If-None-Match) only",
                    hint=f"unset {name}",
                )
        return {**_RETRIES, "aws_conditional_put": "etag", "aws_s3_allow_unsafe_rename": "false"}


def read_again(read: Callable[[], T]) -> T:
    """Call a function that reads a table, and once more if the store fails.

    deltalake repeats most requests, but not a request whose answer was cut.
    """
    from deltalake.exceptions import DeltaError

    try:
        return read()
    except GamesalesError:
        raise
    except (DeltaError, OSError):
        time.sleep(_READ_WAIT)
        return read()


def import_deltalake() -> Any:
    """Import deltalake and return the module.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import deltalake
    except ImportError:
        raise UsageError(
            "a Delta table needs deltalake, which is not installed",
            hint="Install it: " + format_install("gamesales[lake]"),
        ) from None
    return deltalake


@contextmanager
def explain_table_errors(location: TableLocation) -> Iterator[None]:
    """Turn the errors of deltalake into errors that name a table. Errors of this package pass."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except GamesalesError:
        raise
    except (DeltaError, OSError) as error:
        raise _make_error(str(location), error) from None


@contextmanager
def explain_store_errors() -> Iterator[None]:
    """Turn the errors of a store, which name a registry, and of deltalake into errors that name a table."""
    import_deltalake()
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (RegistryError, TryAgainError, UsageError) as error:
        kind: type[GamesalesError] = UsageError if isinstance(error, RegistryError) else type(error)
        message, hint = (
            text.replace("a registry", "a table")
            .replace("the registry", "the table")
            .replace("--registry", "--output")
            .replace("gamesales[cloud]", "gamesales[lake]")
            for text in (error.message, error.hint)
        )
        raise kind(message, hint=hint) from None
    except GamesalesError:
        raise
    except (DeltaError, OSError) as error:
        raise _make_error("the table can't be read now", error) from None


def _make_error(where: str, error: Exception) -> UsageError | TryAgainError:
    """Return a UsageError if the store refuses for good: no such bucket, or not with these credentials."""
    text = summarize(error)
    message = f"{where}: {text}"
    if _REFUSAL.search(text):
        return UsageError(message, hint=_REFUSAL_HINT)
    return TryAgainError(message, hint=_LATER_HINT)


def summarize(error: BaseException) -> str:
    """Return an error of deltalake in a line, without the colors of its causes and the signatures of its URLs."""
    lines = [line.strip(" \t↳") for line in str(error).replace("\x1b[31m", "").replace("\x1b[0m", "").splitlines()]
    text = _URL_QUERY.sub(r"\1?…", "; ".join(line for line in lines if line))
    return _XML_ANSWER.sub(r" (\1)", text)[:500]
