"""Where a run's result goes, and what the working folder beside it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gamesales.errors import UsageError

REJECTS = "rejects.csv"
REPORT = "run.json"
# Of results that are one file.
FILE_SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Target:
    """One file, or a folder of dated partitions."""

    path: Path
    day: date

    @property
    def is_file(self) -> bool:
        return self.path.suffix.lower() in FILE_SUFFIXES

    @property
    def place(self) -> Path:
        """What readers look at: the file, or the date's folder."""
        return self.path if self.is_file else self.path / f"run_date={self.day}"

    @property
    def work(self) -> Path:
        """The working folder, beside the result; in a folder of partitions its name hides it from readers."""
        name = f"{self.place.name}.work"
        return self.place.with_name(name if self.is_file else f".{name}")

    @property
    def report(self) -> Path:
        return self.beside(REPORT) if self.is_file else self.place / "_run.json"

    @property
    def rejects(self) -> Path:
        return self.beside(REJECTS) if self.is_file else self.place / "_rejects"

    @property
    def sidecars(self) -> Sequence[Path]:
        return [self.rejects, self.report] if self.is_file else []

    @property
    def leaves_out(self) -> Path | None:
        """The folder of results, which may lie below an input folder and is no input."""
        return None if self.is_file else self.path

    def beside(self, name: str) -> Path:
        """The place of a file that comes with a single-file result."""
        return self.path.with_name(f"{self.path.name}.{name}")

    def check(self, inputs: Sequence[Path]) -> None:
        """Raises: UsageError: the result can't go there, or would replace an input."""
        replaced = [path.resolve() for path in (self.place, self.work, *self.sidecars)]
        for one in inputs:
            if any(one.resolve().is_relative_to(path) for path in replaced):
                raise UsageError(f"{one} is both input and output", hint="Give another --output")
        if self.is_file == self.path.is_dir() and self.path.exists():
            found = "a folder" if self.is_file else "a file"
            raise UsageError(
                f"--output {self.path} is {found}; .csv and .parquet mean one file, all else a folder",
                hint="Give another --output",
            )
        for path in self.sidecars:
            if path.is_dir():
                raise UsageError(f"{path} is a folder, where a file of this run belongs", hint="Give another --output")
