"""Past titles, read strictly: a network learns from every row, so one bad row stops the work."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gamesales.data.batches import BadRow, shorten
from gamesales.data.contract import Contract
from gamesales.data.tables import open_table
from gamesales.data.watching import stamp, unchanged
from gamesales.errors import InputError
from gamesales.registry.log import plain
from gamesales.scoring.screen import require_columns, screen


@dataclass(frozen=True)
class Titles:
    """Titles whose earnings are known: ``features`` float64 (n, k), ``earnings_usd`` float64 (n,)."""

    path: Path
    sha256: str
    features: npt.NDArray[np.float64]
    earnings_usd: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.earnings_usd)

    def take(self, rows: npt.NDArray[np.int64]) -> Titles:
        """Return some of the titles, by their places from 0."""
        return replace(self, features=self.features[rows], earnings_usd=self.earnings_usd[rows])

    def as_dict(self) -> dict[str, str | int]:
        """Return what the manifest says of the file."""
        return {"path": plain(str(self.path)), "sha256": self.sha256, "rows": len(self)}


def read_titles(path: Path, contract: Contract) -> Titles:
    """Read a CSV or Parquet file of titles and their earnings.

    Raises: InputError: no rows, or rows that break the contract; the first few are named. ColumnsError: columns
        are missing or hold no numbers.
    """
    since = stamp(path) if path.exists() else (0, 0)
    table = open_table(path)
    columns = [*contract.features, contract.target]
    require_columns(str(path), table.schema, columns)
    parts, rejected = [], list[BadRow]()
    with unchanged(path, since):
        for batch in table.batches([column.name for column in columns]):
            screened = screen(batch, columns)
            parts.append(screened.values)
            rejected += screened.rejected
        rows = table.count_rows()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    values = np.concatenate(parts) if parts else np.empty((0, len(columns)))
    if rows != len(values) + len(rejected):
        raise InputError(f"{path} has {rows:,} rows, but {len(values) + len(rejected):,} could be read")
    if rejected:
        raise InputError(
            f"{path} has {len(rejected):,} rows that break the contract: {shorten(rejected)}",
            hint="Mend or remove these rows; see docs/contract.md",
        )
    if not len(values):
        raise InputError(f"{path} has no rows; expected titles and their earnings")
    return Titles(path, digest, values[:, :-1], values[:, -1])
