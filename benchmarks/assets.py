"""Make the files that all contenders share. Each file is made by gamesales when it is first needed.

titles/ holds files of titles, registry/ the trained network of the course, bundle/ the files of its version,
default-plain/ and default-bounds/ the network of the default job without and with prediction intervals, and truth/ the
predictions of the contender ``course`` for CHECK_ROWS titles.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.measure import ROOT, measure

CHECK_ROWS = 20_000
# One row of this number has an invalid price, as many as a run may reject by default.
REJECT_EVERY = 100
# The rows of each file in a folder.
FILE_ROWS = 250_000


@dataclass(frozen=True)
class Assets:
    """The folder of shared files."""

    folder: Path

    def titles(self, titles: str, rows: int, kind: str) -> Path:
        """Return titles; ``titles`` is continuous or realistic, ``kind`` is parquet, csv or folder."""
        if kind == "folder":
            return self._split(self.titles(titles, rows, "parquet"))
        options = ["--no-earnings", *(["--continuous"] if titles == "continuous" else [])]
        return self._simulate(f"{titles}-{rows}.{kind}", rows, *options)

    def _split(self, source: Path) -> Path:
        """Return the rows of a file as a folder of Parquet files with ``FILE_ROWS`` rows each."""
        from pyarrow.parquet import ParquetFile, write_table

        def write(folder: Path) -> None:
            folder.mkdir()
            table = ParquetFile(source).read()
            for number, start in enumerate(range(0, len(table), FILE_ROWS)):
                write_table(table.slice(start, FILE_ROWS), folder / f"titles-{number:03}.parquet")

        return _make(source.with_suffix(".folder"), write)

    def past_titles(self, rows: int) -> Path:
        return self._simulate(f"past-{rows}.parquet", rows)

    def one_group(self, rows: int) -> Path:
        """Return the continuous titles as Parquet in a single row group."""
        from pyarrow.parquet import read_table, write_table

        source = self.titles("continuous", rows, "parquet")
        target = source.with_name(f"one-group-{rows}.parquet")
        return _make(target, lambda path: write_table(read_table(source), path, row_group_size=rows))

    def with_column(self, column: str, rows: int) -> Path:
        """Return realistic titles with one more column: ``integer_id`` or ``text_id`` as title_id, or ``title``."""
        import pyarrow as pa
        from pyarrow.parquet import read_table, write_table

        def write(path: Path) -> None:
            titles = read_table(self._simulate(f"named-{rows}.parquet", rows, "--no-earnings", "--ids"))
            name = "title" if column == "title" else "title_id"
            cells = pa.array(range(1, rows + 1)) if column == "integer_id" else titles.column(name)
            titles = titles.drop_columns(["title_id", "title"]).add_column(0, name, cells)
            write_table(titles, path, 65_536, compression="zstd", use_dictionary=titles.column_names[1:])

        return _make(self.folder / "titles" / f"{column}-{rows}.parquet", write)

    def rejected(self, rows: int, kind: str) -> Path:
        """Return the continuous titles with some invalid prices: -1 in Parquet, a word in CSV."""
        source = self.titles("continuous", rows, kind)
        return _make(source.with_name(f"rejected-{rows}.{kind}"), lambda path: spoil_prices(source, path))

    @cached_property
    def registry(self) -> Path:
        """Return a registry with the network of the course, without prediction intervals: no contender has them."""
        return self._train("registry", "--preset", "course", intervals=False)

    def default_registry(self, *, intervals: bool) -> Path:
        """Return a registry with the network of the default job, with or without prediction intervals."""
        return self._train(f"default-{'bounds' if intervals else 'plain'}", intervals=intervals)

    @cached_property
    def bundle(self) -> Path:
        """Return the folder of the files of the version in the registry."""
        return _make(self.folder / "bundle", lambda path: shutil.copytree(*self.registry.glob("*/bundles/*/"), path))

    @cached_property
    def target_range(self) -> float:
        manifest = json.loads((self.bundle / "MANIFEST.json").read_bytes())
        return 1.0 / manifest["scaling"]["columns"][-1]["scale"]

    def output(self, name: str) -> Path:
        return self.folder / "output" / name

    def clear_output(self, name: str) -> Path:
        """Delete all earlier outputs, and return the path of an output."""
        path = self.output(name)
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        return path

    def _simulate(self, name: str, rows: int, *options: str) -> Path:
        command = ["simulate", "--rows", rows, *options, "--output"]
        return _make(self.folder / "titles" / name, lambda path: run_gamesales(*command, path))

    def _train(self, name: str, *options: str, intervals: bool) -> Path:
        def train(path: Path) -> None:
            text = (ROOT / "jobs/train.toml").read_text(encoding="utf-8")
            text = text.replace('method = "auto"', f'method = "{"split" if intervals else "none"}"')
            job = self.folder / "train.toml"
            job.write_text(text.replace("most_titles = 5000", "most_titles = 0"), encoding="utf-8")
            run_gamesales("train", job, *options, "--registry", path)
            run_gamesales("promote", "1", "--reason", "to be measured", "--registry", path)

        return _make(self.folder / name, train)


def _make(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file or folder unless it exists; an unfinished one has another name."""
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_name(f"new-{path.name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        write(unfinished)
        unfinished.rename(path)
    return path


def spoil_prices(source: Path, path: Path) -> None:
    """Copy a file with an invalid price in every ``REJECT_EVERY``-th row; all other text of a CSV stays equal."""
    import pandas as pd
    from pyarrow.parquet import read_metadata

    is_csv = source.suffix == ".csv"
    titles = pd.read_csv(source, dtype=str) if is_csv else pd.read_parquet(source)
    titles.loc[::REJECT_EVERY, "unit_price"] = "free" if is_csv else -1
    if is_csv:
        titles.to_csv(path, index=False)
    else:
        titles.to_parquet(path, row_group_size=read_metadata(source).row_group(0).num_rows)


def run_gamesales(*arguments: object) -> None:
    failure = measure([sys.executable, "-m", "gamesales", *map(str, arguments)]).failure
    if failure:
        raise SystemExit(f"gamesales {arguments[0]} failed: {failure}")


def warm_cache(path: Path) -> None:
    """Read a file or the files of a folder, so that the next reader finds them in memory."""
    for part in path.iterdir() if path.is_dir() else [path]:
        with part.open("rb") as file:
            while file.read(1 << 24):
                pass
