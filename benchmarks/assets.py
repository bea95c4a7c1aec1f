"""What all contenders share: files of titles, and one trained version, in the registry and out of it.

    ASSETS/titles/continuous-1000000.parquet     the nine features, no earnings
    ASSETS/titles/one-group-1000000.parquet      the same titles in a single row group
    ASSETS/titles/rejected-1000000.csv           the same, but each hundredth row breaks the contract
    ASSETS/titles/past-1000000.parquet           titles with earnings, to train on
    ASSETS/registry/                             the course's network, trained and promoted
    ASSETS/default-plain/, default-bounds/       the default job's network, without and with prediction intervals
    ASSETS/bundle/                               its files: model.keras, scaler.joblib, scorer.onnx
    ASSETS/truth/continuous.parquet              what the course's way predicts for CHECK_ROWS titles

Each is made once, when it is first asked for, by gamesales itself.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.reshape import join_groups, spoil

ROOT = Path(__file__).parent.parent
# The network learns whole titles by heart in seconds; the comparisons need its shape, not its skill.
PRESET = "course"
CHECK_ROWS = 20_000
TITLES = ("continuous", "realistic")


@dataclass(frozen=True)
class Assets:
    """The folder of shared files."""

    folder: Path

    def titles(self, titles: str, rows: int, kind: str) -> Path:
        """Return a file of titles.

        Args: titles: continuous or realistic; kind: parquet or csv.
        """
        path = self.folder / "titles" / f"{titles}-{rows}.{kind}"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            continuous = ["--continuous"] if titles == "continuous" else []
            gamesales("simulate", "--rows", rows, "--no-earnings", *continuous, "--output", path)
        return path

    def past_titles(self, rows: int) -> Path:
        """Return a file of titles with their earnings, to train on."""
        path = self.folder / "titles" / f"past-{rows}.parquet"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            gamesales("simulate", "--rows", rows, "--output", path)
        return path

    def one_group(self, rows: int) -> Path:
        """Return the continuous titles as Parquet in a single row group."""
        return self._made_of(self.titles("continuous", rows, "parquet"), f"one-group-{rows}.parquet", join_groups)

    def rejected(self, rows: int, kind: str) -> Path:
        """Return the continuous titles, a row in ``EACH`` spoilt."""
        return self._made_of(self.titles("continuous", rows, kind), f"rejected-{rows}.{kind}", spoil)

    def _made_of(self, source: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
        path = source.with_name(name)
        if not path.exists():
            unfinished = path.with_name(f"new-{name}")
            make(source, unfinished)
            unfinished.rename(path)
        return path

    @cached_property
    def registry(self) -> Path:
        """Return a registry with a version of the course's network, promoted. It gives no prediction intervals.

        No other contender computes them; docs/intervals.md tells what they cost.
        """
        return self._trained("registry", "--preset", PRESET, intervals=False)

    def default_registry(self, *, intervals: bool) -> Path:
        """Return a registry with a version as the default job trains it, promoted, with or without intervals."""
        return self._trained(f"default-{'bounds' if intervals else 'plain'}", intervals=intervals)

    def _trained(self, name: str, *options: str, intervals: bool) -> Path:
        path = self.folder / name
        if not path.exists():
            made = self.folder / f"{name}.new"
            shutil.rmtree(made, ignore_errors=True)
            job = self.folder / "train.toml"
            usual = (ROOT / "jobs/train.toml").read_text(encoding="utf-8")
            method = "split" if intervals else "none"
            usual = usual.replace('method = "auto"', f'method = "{method}"').replace(
                "most_titles = 5000", "most_titles = 0"
            )
            job.write_text(usual, encoding="utf-8")
            gamesales("train", job, *options, "--registry", made)
            gamesales("promote", "1", "--reason", "to be measured", "--registry", made)
            made.rename(path)
        return path

    @cached_property
    def bundle(self) -> Path:
        """Return the folder of that version's files."""
        path = self.folder / "bundle"
        if not path.exists():
            (source,) = self.registry.glob("*/bundles/*/")
            shutil.copytree(source, path)
        return path

    @cached_property
    def target_range(self) -> float:
        """Return the range of the earnings that the version was trained on, US dollars."""
        manifest = json.loads((self.bundle / "MANIFEST.json").read_bytes())
        return 1.0 / manifest["scaling"]["columns"][-1]["scale"]

    def output_place(self, name: str) -> Path:
        """Return where an output of this name goes."""
        return self.folder / "output" / name

    def output(self, name: str) -> Path:
        """Return where a contender's output goes, after throwing away that of the run before."""
        path = self.output_place(name)
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        return path


def gamesales(*arguments: object) -> None:
    """Run one of our commands at the top of the checkout, where the job file's paths start."""
    command = [sys.executable, "-m", "gamesales", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"gamesales {arguments[0]} failed: {done.stderr.strip()}")


def warm(path: Path) -> None:
    """Read a file, so that whoever comes next finds it in memory."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
