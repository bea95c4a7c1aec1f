"""Counting rows: in, scored, rejected; and how many a run may reject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gamesales.data.batches import BadRow
from gamesales.errors import GamesalesError, TooManyRejectsError, UsageError

_SHOWN = 3


@dataclass(frozen=True)
class Counts:
    """Rows of one input or of a whole run."""

    rows_in: int = 0
    rows_scored: int = 0
    rows_rejected: int = 0
    rows_outside_training_range: int = 0
    # The first few rejects in words, for messages.
    examples: tuple[str, ...] = ()

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.rows_in + other.rows_in,
            self.rows_scored + other.rows_scored,
            self.rows_rejected + other.rows_rejected,
            self.rows_outside_training_range + other.rows_outside_training_range,
            (self.examples + other.examples)[:_SHOWN],
        )


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


def check(counts: Counts, limit: RejectLimit, rejects: str) -> None:
    """Hold the run to its invariant and to its limit.

    Raises: TooManyRejectsError: it shows the first rejects and says where all of them lie.
    """
    if counts.rows_in != counts.rows_scored + counts.rows_rejected:
        raise GamesalesError(
            f"rows were lost: {counts.rows_in:,} read, {counts.rows_scored:,} scored, {counts.rows_rejected:,} "
            "rejected; nothing was published",
            hint="Report this with the input file",
        )
    allowed = limit.allowed(counts.rows_in)
    if counts.rows_rejected > allowed:
        raise TooManyRejectsError(
            f"{counts.rows_rejected:,} of {counts.rows_in:,} rows were rejected, more than the {allowed:,} allowed; "
            f"nothing was published. First: {'; '.join(counts.examples)}",
            hint=f"All of them, with reasons: {rejects}. To allow more: --max-rejects N or N%",
        )
