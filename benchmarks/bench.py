"""Check contenders, and make the cells that suites measure.

A contender is timed only after its output was found equal to the output of the contender ``course``, row by row. The
predictions of engines that do not keep the order of rows are sorted before.
"""

import importlib
import math
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import contenders
from benchmarks.assets import CHECK_ROWS, Assets, warm_cache
from benchmarks.measure import Cell, Skipped, call_python, measure, measure_rounds, print_progress

OURS = "ours"
KINDS = ("parquet", "csv")
# ``environments/NAME.txt`` pins what is installed into ``.envs/NAME`` when a contender first needs it.
PINS, ENVIRONMENTS = (Path(__file__).parent / name for name in ("environments", ".envs"))
# The limit that the graph of a version must also keep before it is registered.
TOLERANCE = 1e-5
REFERENCE = "course"
Earnings = npt.NDArray[np.float64]
Result = dict[str, Any]


class Contender:
    """One way to score a file; contenders/__init__.py describes the values of its module."""

    def __init__(self, name: str, module: ModuleType | SimpleNamespace) -> None:
        self.name, self.module, self.label = name, module, module.LABEL
        self.kinds: Sequence[str] = getattr(module, "KINDS", KINDS)

    def command(self, source: Path, output: Path, assets: Path) -> list[str]:
        if hasattr(self.module, "command"):
            return [sys.executable, *self.module.command(source, output, assets)]
        return call_python(self.module.__name__, "main", source, output, assets, python=find_python(self.module))

    def prepare(self, assets: Path) -> str | None:
        """Install its environment and prepare it; return why this failed, or None."""
        fault, python = install_environment(self.module), find_python(self.module)
        if fault or not hasattr(self.module, "prepare"):
            return fault
        return measure(call_python(self.module.__name__, "prepare", assets, python=python)).failure

    def output_name(self, kind: str) -> str:
        return "predictions" if getattr(self.module, "FOLDER", False) else f"predictions.{kind}"

    def accepts(self, kind: str, rows: int, scale: str) -> bool:
        """Tell whether it is timed on files of this kind and size in a quick or full run."""
        return kind in self.kinds and rows <= getattr(self.module, "MAX_ROWS", {}).get(scale, rows)


def load_modules(package: ModuleType) -> dict[str, ModuleType]:
    """Import the modules of a package by their names; the modules of gamesales come first."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    names.sort(key=lambda name: name.partition("_")[0] != OURS)
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}


def load_contenders(names: Sequence[str] = ()) -> list[Contender]:
    """Return the contenders with these names, or all of them."""
    modules = load_modules(contenders)
    unknown = sorted(set(names) - set(modules))
    if unknown:
        raise SystemExit(f"no contender {', '.join(unknown)}; expected some of {', '.join(sorted(modules))}")
    return [Contender(name, module) for name, module in modules.items() if not names or name in names]


def describe_module(module: ModuleType, paragraphs: int | None = None) -> str:
    """Return the first paragraphs of a docstring, or all of them, in one line."""
    return " ".join(" ".join((module.__doc__ or "").split("\n\n")[:paragraphs]).split())


def find_python(module: ModuleType) -> Path:
    """Return the interpreter of the environment that a module needs, installed or not; by default this interpreter."""
    environment = getattr(module, "ENVIRONMENT", None)
    return ENVIRONMENTS / environment / "bin/python" if environment else Path(sys.executable)


def install_environment(module: ModuleType) -> str | None:
    """Install the environment of a module unless it exists with the same pins; return why this failed, or None."""
    environment = getattr(module, "ENVIRONMENT", None)
    if environment is None:
        return None
    folder, pins = ENVIRONMENTS / environment, PINS / f"{environment}.txt"
    stamp = folder / "installed.txt"  # written last: an incomplete environment is installed again
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return None
    print_progress(f"installing {pins.name} into {ENVIRONMENTS.name}/{environment}")
    pip = [find_python(module), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq"]
    try:
        for command in ([sys.executable, "-m", "venv", "--clear", folder], [*pip, "-r", pins]):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=1_800)
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", None) or str(error)
        return f"{pins.name} could not be installed: {' '.join(message.split())[-300:]}"
    stamp.write_bytes(pins.read_bytes())
    return None


@dataclass
class Bench:
    """The settings of one call: ``scale`` is quick or full; ``rounds`` and ``deadline`` are for ``measure_rounds``.

    ``earlier`` is the checkout that the suite of this name compares with.
    """

    assets: Assets
    scale: str
    rounds: int | None = None
    contenders: Sequence[str] = ()
    deadline: float = math.inf
    earlier: Path | None = None
    _skipped: list[Skipped] = field(default_factory=list)
    _faults: dict[str, str | None] = field(default_factory=dict)
    _checks: dict[tuple[str, str, str], tuple[float | None, str | None]] = field(default_factory=dict)

    def choose(self, names: Sequence[str] = ()) -> list[Contender]:
        """Return the contenders of the command line, as far as the suite names them."""
        return [contender for contender in load_contenders(self.contenders) if not names or contender.name in names]

    def choose_by_scale(self, quick_names: Sequence[str]) -> list[Contender]:
        """Return the contenders of a quick run with those of the command line, or all contenders of a full run."""
        return self.choose([*quick_names, *self.contenders] if self.scale == "quick" else ())

    def admit(self, contenders: Sequence[Contender], titles: str, kind: str) -> tuple[list[Contender], list[Result]]:
        """Return the contenders that may be timed, and the results of their checks; skip the others."""
        admitted, checks, case = [], [], f"{kind}, {titles} titles"
        for contender in contenders:
            if kind not in contender.kinds:
                continue
            difference, fault = self._check(contender, titles, kind)
            if fault is None:
                admitted.append(contender)
                checks.append({"contender": contender.name, "case": case, "largest_difference_usd": difference})
            else:
                self.skip(contender.name, case, fault)
        return admitted, checks

    def skip(self, contender: str, case: str, reason: str) -> None:
        """Report with the next measurement that something could not be measured."""
        self._skipped.append({"contender": contender, "what": case, "reason": reason})

    def cell(self, contender: Contender, titles: str, kind: str, rows: int) -> Cell:
        """Return the cell of a contender that scores a file of titles."""
        return self.cell_on(self.assets.titles(titles, rows, kind), contender, f"{kind}, {titles} titles", rows)

    def cell_on(self, source: Path, contender: Contender, case: str, rows: int, rejected: int = 0) -> Cell:
        """Return the cell of a contender that scores a file with this number of rejected rows."""
        output = self.assets.output(contender.output_name(source.suffix.lstrip(".")))

        def command(_round: int) -> list[str]:
            warm_cache(source)
            return contender.command(source, self.assets.clear_output(output.name), self.assets.folder)

        def find_fault() -> str | None:
            scored, expected = open_output(output).count_rows(), rows - rejected
            return None if scored == expected else f"{scored:,} rows in its output, expected {expected:,}"

        return Cell(contender.name, case, rows, command, find_fault=find_fault)

    def measure(self, cells: Sequence[Cell]) -> Result:
        """Return ``runs`` of the cells, and ``skipped``, with all that was skipped since the last measurement."""
        runs, failed = measure_rounds(cells, self.rounds, self.deadline)
        skipped, self._skipped = self._skipped, []
        return {"runs": runs, "skipped": skipped + failed}

    def _check(self, contender: Contender, titles: str, kind: str) -> tuple[float | None, str | None]:
        """Install, prepare and check a contender, once for all suites; return the difference, or a fault."""
        if contender.name not in self._faults:
            _ = self.assets.bundle
            self._faults[contender.name] = contender.prepare(self.assets.folder)
        fault, key = self._faults[contender.name], (contender.name, titles, kind)
        if fault is None and key not in self._checks:
            self._checks[key] = check(contender, self.assets, titles, kind)
        return self._checks.get(key, (None, fault))


def check(contender: Contender, assets: Assets, titles: str, kind: str) -> tuple[float | None, str | None]:
    """Let a contender score ``CHECK_ROWS`` titles; return the largest difference from the reference, or a fault."""
    source, output = assets.titles(titles, CHECK_ROWS, kind), assets.clear_output(contender.output_name(kind))
    failure = measure(contender.command(source, output, assets.folder)).failure
    if failure:
        return None, failure
    expected = read_reference(assets, titles)
    try:
        predicted = read_predictions(output)
        if not getattr(contender.module, "ORDERED", True):
            predicted, expected = np.sort(predicted), np.sort(expected)
        return round(find_largest_difference(predicted, expected, assets.target_range), 5), None
    except (ValueError, OSError) as error:
        return None, f"wrong output: {error}"


def read_reference(assets: Assets, titles: str) -> Earnings:
    """Return the predictions of the reference for the checked titles."""
    path = assets.folder / "truth" / f"{titles}.parquet"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        (course,) = load_contenders([REFERENCE])
        _ = assets.bundle
        failure = measure(course.command(assets.titles(titles, CHECK_ROWS, "parquet"), path, assets.folder)).failure
        if failure:
            raise SystemExit(f"the reference {REFERENCE} failed: {failure}")
    return read_predictions(path)


def open_output(output: Path) -> Any:
    """Open an output in the order of its rows: a file, or the parts of a folder."""
    from pyarrow.dataset import dataset

    files = sorted(output.rglob("*.parquet")) if output.is_dir() else [output]
    return dataset(list(map(str, files)), format="csv" if output.suffix == ".csv" else "parquet")


def read_predictions(output: Path) -> Earnings:
    table = open_output(output).to_table(columns=["predicted_earnings"])
    return table.column("predicted_earnings").to_numpy().astype(np.float64)


def find_largest_difference(predicted: Earnings, expected: Earnings, target_range: float) -> float:
    """Return the largest difference; raise ValueError above ``TOLERANCE`` times the prediction or the range."""
    if predicted.shape != expected.shape:
        raise ValueError(f"{len(predicted):,} predictions, expected {len(expected):,}")
    differences = np.nan_to_num(np.abs(predicted - expected), nan=np.inf)
    wrong = differences > TOLERANCE * np.maximum(np.abs(expected), target_range)
    if wrong.any():
        worst = int(differences.argmax())
        values = f"{predicted[worst]:,.2f}, expected {expected[worst]:,.2f}"
        raise ValueError(f"{wrong.sum():,} rows differ, row {worst + 1}: {values}")
    return float(differences.max(initial=0.0))
