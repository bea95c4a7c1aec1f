"""What a suite is told: where the shared files are, how much to do, and with whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.assets import Assets, warm
from benchmarks.checking import Verdict, check, parts, prepare
from benchmarks.contender import Contender, catalogue
from benchmarks.rounds import Cell, Skipped, skipped

# The size whose time is taken off for a rate: all start-up, hardly any work.
BASE_ROWS = 1_000
# What takes seconds to start shows itself in fewer rounds, and on the largest files once.
SLOW_ROUNDS, _SLOW_ROWS = 3, 1_000_000
Result = dict[str, Any]


@dataclass
class Bench:
    """One call of ``python -m benchmarks``; ``scale`` is quick or full, ``rounds`` overrides a suite's own."""

    assets: Assets
    scale: str
    rounds: int | None = None
    contenders: Sequence[str] = ()
    _prepared: dict[str, str | None] = field(default_factory=dict)
    _verdicts: dict[tuple[str, str, str], Verdict] = field(default_factory=dict)

    def rounds_or(self, **own: int) -> int:
        """Return how many rounds to do: ``rounds_or(quick=3, full=5)``."""
        return self.rounds or own[self.scale]

    def choose(self, names: Sequence[str] = ()) -> list[Contender]:
        """Return the contenders that were asked for, of those that a suite names."""
        return [one for one in catalogue(self.contenders) if not names or one.name in names]

    def _verdict(self, contender: Contender, titles: str, kind: str) -> Verdict:
        """Prepare a contender and check what it says, each once."""
        if contender.name not in self._prepared:
            self._prepared[contender.name] = prepare(contender, self.assets)
        fault = self._prepared[contender.name]
        if fault is not None:
            return Verdict(fault=fault)
        key = (contender.name, titles, kind)
        if key not in self._verdicts:
            self._verdicts[key] = check(contender, self.assets, titles, kind)
        return self._verdicts[key]

    def admitted(
        self, contenders: Sequence[Contender], titles: str, kind: str
    ) -> tuple[list[Contender], list[Result], list[Skipped]]:
        """Let each contender show that its output is right.

        Returns: those that may be timed, how far each was off, and who was refused and why.
        """
        good, checks, refused = [], [], []
        case = f"{kind}, {titles} titles"
        for one in contenders:
            if kind not in one.kinds:
                continue
            verdict = self._verdict(one, titles, kind)
            if verdict.fault is None:
                good.append(one)
                checks.append({"contender": one.name, "case": case, "largest_difference_usd": verdict.difference_usd})
            else:
                refused.append(skipped(one.name, case, verdict.fault))
        return good, checks, refused

    def cell(self, contender: Contender, titles: str, kind: str, rows: int) -> Cell:
        """Return the cell in which a contender scores a file of titles, which is made and in memory by then."""
        source = self.assets.titles(titles, rows, kind)
        warm(source)
        place = self.assets.folder / "output" / f"predictions.{kind}"

        def command(_round: int) -> list[str]:
            return contender.command(source, self.assets.output(kind), self.assets.folder)

        def fault() -> str | None:
            found = count_rows(place)
            return None if found == rows else f"{found:,} rows in its output, expected {rows:,}"

        return Cell(
            contender.name,
            f"{kind}, {titles} titles",
            rows,
            command,
            fault=fault,
            most_rounds=self._most(contender, rows),
        )

    def _most(self, contender: Contender, rows: int) -> int | None:
        """Return the rounds that a slow contender takes part in; its largest file is minutes a round in full."""
        if not contender.slow or self.rounds:
            return None
        return 1 if rows > _SLOW_ROWS else SLOW_ROUNDS


def count_rows(path: Any) -> int:
    """Count the rows of an output, a CSV's without parsing it."""
    from pyarrow import parquet

    if not path.exists():
        return sum(parquet.read_metadata(part).num_rows for part in parts(path))
    if path.suffix == ".parquet":
        return parquet.read_metadata(path).num_rows
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 24), b"")) - 1


def labels() -> dict[str, str]:
    """Return what tables call each contender."""
    return {one.name: one.label for one in catalogue()}
