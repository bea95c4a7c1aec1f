"""What a suite is told: where the shared files are, how much to do, and with whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.assets import Assets, warm
from benchmarks.checking import Verdict, check, files_of, prepare
from benchmarks.contender import KINDS, Contender, catalogue
from benchmarks.rounds import FULL, QUICK, Cell, Patience, Skipped, skipped

# The size whose time is taken off for a rate: all start-up, hardly any work.
BASE_ROWS = 1_000
Result = dict[str, Any]


@dataclass
class Bench:
    """One call of ``python -m benchmarks``; ``scale`` is quick or full, ``rounds`` is for all cells alike.

    A quick run is told ``until`` when, on ``time.monotonic``, its rounds should have ended.
    """

    assets: Assets
    scale: str
    rounds: int | None = None
    contenders: Sequence[str] = ()
    until: float = math.inf
    _prepared: dict[str, str | None] = field(default_factory=dict)
    _verdicts: dict[tuple[str, str, str], Verdict] = field(default_factory=dict)

    @property
    def patience(self) -> Patience:
        """Return how many rounds there are for whom."""
        if self.rounds:
            return Patience([(math.inf, self.rounds)])
        return replace(QUICK, until=self.until) if self.scale == "quick" else FULL

    def choose(self, names: Sequence[str] = ()) -> list[Contender]:
        """Return the contenders that were asked for, of those that a suite names."""
        return [one for one in catalogue(self.contenders) if not names or one.name in names]

    def choose_few(self, names: Sequence[str]) -> list[Contender]:
        """Return those whom a quick run has, or whom ``--contenders`` names instead; of a full run, all."""
        return self.choose([*names, *self.contenders] if self.scale == "quick" else ())

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
                checks.append({"contender": one.name, "case": case, "largest_difference": verdict.difference})
            else:
                refused.append(skipped(one.name, case, verdict.fault))
        return good, checks, refused

    def cell(
        self, contender: Contender, titles: str, kind: str, rows: int, *, most_rounds: int = Cell.most_rounds
    ) -> Cell:
        """Return the cell in which a contender scores a file of titles."""
        source = self.assets.titles(titles, rows, kind)
        return self.cell_on(source, contender, f"{kind}, {titles} titles", rows, most_rounds=most_rounds)

    def cell_on(
        self,
        source: Path,
        contender: Contender,
        case: str,
        rows: int,
        *,
        rejected: int = 0,
        most_rounds: int = Cell.most_rounds,
    ) -> Cell:
        """Return the cell in which a contender scores any file, which is in memory each time.

        Args: rejected: how many of its rows break the contract.
        """
        place = self.assets.output_place(contender.output_name(source.suffix.lstrip(".")))

        def command(_round: int) -> list[str]:
            warm(source)
            return contender.command(source, self.assets.output(place.name), self.assets.folder)

        def fault() -> str | None:
            found, expected = count_rows(place), rows - rejected
            return None if found == expected else f"{found:,} rows in its output, expected {expected:,}"

        return Cell(contender.name, case, rows, command, fault=fault, most_rounds=most_rounds)


def count_rows(place: Path) -> int:
    """Count the rows of an output, a file or a folder of dated partitions."""
    return sum(_rows(file) for file in files_of(place))


def _rows(path: Path) -> int:
    """Count the rows of a file, a CSV's without parsing it."""
    if path.suffix == "." + KINDS[0]:
        from pyarrow import parquet

        return parquet.read_metadata(path).num_rows
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 24), b"")) - 1


def labels() -> dict[str, str]:
    """Return what tables call each contender."""
    return {one.name: one.label for one in catalogue()}
