"""Counting rows: in, scored, rejected; and how many a run may reject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gamesales.data.batches import BadRow
from gamesales.errors import GamesalesError, TooManyRejectsError, UsageError

_SHOWN = 3


@dataclass(frozen=True)
class RejectLimit:
    """How many rows a run may reject: a count or a share of its rows, whichever is larger; never all of them."""

    rows: int = 10
    share: float = 0.01

    @classmethod
    def parse(cls, text: str) -> RejectLimit:
        """Read ``25`` or ``1%``."""
        try:
            limit = cls(0, float(text[:-1]) / 100) if text.endswith("%") else cls(int(text), 0.0)
        except ValueError:
            limit = cls(-1)
        if limit.rows < 0 or not 0 <= limit.share <= 1:
            raise UsageError(f"--max-rejects expects a count such as 25 or a share such as 1%, received {text!r}")
        return limit

    def allowed(self, rows: int) -> int:
        """Return how many of so many rows may be rejected."""
        share = int(round(self.share * rows, 6))  # 0.29 of 100 is 28.999999999999996
        return min(max(self.rows, share), max(rows - 1, 0))


def told(name: str, rejected: Sequence[BadRow]) -> tuple[str, ...]:
    """Tell the first few rejects in words."""
    return tuple(f"{name} row {bad.row}: {bad.reason}" for bad in rejected[:_SHOWN])


def check_invariant(rows_in: int, scored: int, rejected: int) -> None:
    """Raises: GamesalesError: rows in are not rows scored plus rows rejected."""
    if rows_in != scored + rejected:
        raise GamesalesError(
            f"rows were lost: {rows_in:,} read, {scored:,} scored, {rejected:,} rejected; nothing was published",
            hint="Report this with the input file",
        )


def too_many(rejected: int, rows_in: int, allowed: int, examples: Sequence[str], rejects: str) -> TooManyRejectsError:
    """Say that a run is hopeless, with its first rejects and where all those found so far lie."""
    return TooManyRejectsError(
        f"{rejected:,} of {rows_in:,} rows were rejected, more than the {allowed:,} allowed; nothing was published. "
        f"First: {'; '.join(examples[:_SHOWN])}",
        hint=f"Those found so far, with reasons: {rejects}. To allow more: --max-rejects N or N%",
    )
