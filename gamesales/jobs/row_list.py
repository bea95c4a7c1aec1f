"""Results that are lists of rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

from gamesales.errors import UsageError

Row = TypeVar("Row")


class RowList(Sequence[Row]):
    """A result with rows. Its length, its items and its iterator are those of the rows."""

    @property
    @abstractmethod
    def _rows(self) -> list[Row]: ...

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self._rows[index]


def check_limit(limit: int | None) -> None:
    """Raise UsageError if a limit on the number of rows is not positive."""
    if limit is not None and limit < 1:
        raise UsageError(f"expected a limit of 1 or more, received {limit}")
