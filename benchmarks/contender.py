"""The catalogue of contenders: what their modules say of themselves, as data."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from benchmarks import contenders, environments

OURS = "ours"
KINDS = ("parquet", "csv")


@dataclass(frozen=True)
class Contender:
    """One way to score a file; ``prepares`` says whether it has something to make from the assets first.

    ``folder`` says that it writes a folder of dated partitions where the others write one file.
    """

    name: str
    label: str
    why: str
    kinds: Sequence[str]
    most_rows: dict[str, int]
    environment: str | None
    prepares: bool
    folder: bool = False
    own_command: Callable[[Path, Path, Path], list[str]] | None = None

    @property
    def python(self) -> str:
        return str(environments.python(self.environment)) if self.environment else sys.executable

    def command(self, source: Path, output: Path, assets: Path) -> list[str]:
        """Return the command that scores ``source`` into ``output``."""
        if self.own_command is not None:
            return [self.python, *self.own_command(source, output, assets)]
        return [self.python, "-m", f"{contenders.__name__}.{self.name}", *map(str, (source, output, assets))]

    def output_name(self, kind: str) -> str:
        """Return the name of the file or folder that it writes."""
        return "predictions" if self.folder else f"predictions.{kind}"

    def preparation(self, assets: Path) -> list[str]:
        """Return the command that makes what this contender alone needs."""
        code = f"from {contenders.__name__}.{self.name} import prepare; prepare({str(assets)!r})"
        return [self.python, "-c", code]

    def takes(self, kind: str, rows: int, scale: str) -> bool:
        """Tell whether it is timed on files of a kind and size; ``scale`` is quick or full."""
        return kind in self.kinds and rows <= self.most_rows.get(scale, rows)


def catalogue(names: Sequence[str] = ()) -> list[Contender]:
    """Return the contenders of these names, or all of them; ours comes first."""
    known = sorted(module.name for module in pkgutil.iter_modules(contenders.__path__))
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SystemExit(f"no contender {', '.join(unknown)}; there is {', '.join(known)}")
    chosen = [name for name in known if not names or name in names]
    chosen.sort(key=lambda name: name.partition("_")[0] != OURS)
    return [describe(importlib.import_module(f"{contenders.__name__}.{name}")) for name in chosen]


def describe(module: ModuleType) -> Contender:
    """Read what a contender's module says of itself."""
    return Contender(
        name=module.__name__.rpartition(".")[2],
        label=module.LABEL,
        why=" ".join((module.__doc__ or "").split("\n\n")[0].split()),
        kinds=getattr(module, "KINDS", KINDS),
        most_rows=getattr(module, "MOST_ROWS", {}),
        environment=getattr(module, "ENVIRONMENT", None),
        prepares=hasattr(module, "prepare"),
        folder=getattr(module, "FOLDER", False),
        own_command=getattr(module, "command", None),
    )
