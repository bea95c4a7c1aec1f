"""Read published predictions, compare them with actual earnings, and keep tables of results small."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from gamesales.errors import UsageError, expect_failures
from gamesales.registry.refs import DEFAULT_MODEL, DEFAULT_REGISTRY
from gamesales.scoring.output import is_single_file, is_table, parse_output

if TYPE_CHECKING:
    import pyarrow as pa

    from gamesales.jobs.backtest import BacktestResult
    from gamesales.jobs.vacuum import VacuumResult


@expect_failures()
def read_predictions(path: str | Path, day: str | date | None = None, *, version: int | None = None) -> pa.Table:
    """Read the predictions of one run, whole. If another run is published meanwhile, they are read again.

    Args:
        path: The folder of dated partitions, a single file, or the folder or URL of a Delta table. Columns copied from
            a CSV file are text.
        day: The date of the run, such as ``2026-11-23``. A single file needs no date.
        version: The version of the Delta table. The default is the newest version.

    Returns:
        The predictions in the unit of the target, a row for each scored title.

    Raises:
        InputNotFoundError: Nothing is published there for the date.
        InputError: A single file differs from its report.
        UsageError: The path is a folder, and no date is given. Or it is not a Delta table, and a version is given.
    """
    from gamesales.scoring.result_files import read_file, read_folder

    path = path if isinstance(path, Path) else parse_output(path)
    if is_table(path):
        return _read_table(path, day, version)
    path = Path(path)
    if version is not None:
        raise UsageError(f"{path} is not a Delta table; expected no version")
    if is_single_file(path):
        return read_file(path, day)
    if day is None:
        raise UsageError(f"{path} is a folder of dates; expected a date", hint='read_predictions(path, "2026-11-23")')
    return read_folder(path, day)


def _read_table(path: str | Path, day: str | date | None, version: int | None) -> pa.Table:
    from gamesales.jobs.score_job import parse_date
    from gamesales.lake.location import TableLocation
    from gamesales.lake.results import read_table

    if day is None:
        raise UsageError(f"{path} is a table of dates; expected a date", hint='read_predictions(path, "2026-11-23")')
    parsed = parse_date(day, "day") if isinstance(day, str) else day
    return read_table(TableLocation(str(path)), parsed, version)


@expect_failures()
def backtest(
    predictions: str | Path,
    actuals: str | Path,
    *,
    page: str | Path | None = None,
    max_rejects: str | int | None = None,
    reason: str = "",
    dry_run: bool = False,
    registry: str | Path = DEFAULT_REGISTRY,
    name: str = DEFAULT_MODEL,
) -> BacktestResult:
    """Compare past predictions with actual earnings, and record the metrics as evidence.

    Args:
        predictions: A folder of dated partitions, a single result file, or a Delta table.
        actuals: A CSV or Parquet file of title ids and actual earnings, or its URL.
        page: Where to write an HTML page with plots.
        max_rejects: Unusable actuals to allow, such as 25 or ``1%``. None: 10 rows or 1%, whichever is larger.
        reason: Why, for the log.
        dry_run: Whether to record nothing.
        registry: The folder or URL of the registry.
        name: The model.

    Returns:
        The metrics by version, month and date, in the unit of the target. The ``evidence`` of a version is ``refused``
        if the registry can't record its metrics, and ``refused`` says why.

    Raises:
        InputError: There are no predictions or no actuals, or no title matches.
        RegistryError: The predictions are of another model, and nothing says which columns identify a title.
    """
    from gamesales.data.screen import RejectLimit
    from gamesales.jobs.backtest import BacktestRequest
    from gamesales.jobs.backtest import backtest as run
    from gamesales.jobs.loading import open_registry

    limit = RejectLimit() if max_rejects is None else RejectLimit.parse(str(max_rejects))
    source = predictions if isinstance(predictions, Path) else parse_output(predictions)
    request = BacktestRequest(source, str(actuals), limit, None if page is None else Path(page), reason, dry_run)
    return run(open_registry(registry, name), request)


@expect_failures()
def vacuum(table: str | Path, *, days: int | None = None, dry_run: bool = False) -> VacuumResult:
    """Remove the files of a Delta table that no retained version needs.

    Args:
        table: The folder or the URL of a Delta table of results.
        days: Keep all versions of the last days. None: as the table says, 30 in a new table.
        dry_run: Whether to find the files and change nothing.

    Returns:
        The numbers and sizes of the removed and the kept files, in bytes.

    Raises:
        InputNotFoundError: There is no table.
        UsageError: It is a table of another program, or the retention is too short.
        TryAgainError: The table can't be read or written now.
    """
    from gamesales.jobs.vacuum import vacuum as run
    from gamesales.lake.location import TableLocation

    return run(TableLocation(str(table)), days, dry_run=dry_run)
