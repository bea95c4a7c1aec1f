"""The Python API: predict with a version of a registry, score files, and read published predictions.

    >>> from gamesales import Registry
    >>> Registry("registry").load("game-earnings@champion").predict(titles)
    array([ 88736.42, 67396.57, …])

It loads the libraries of scoring only. It needs no TensorFlow and no pandas, and unpickles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gamesales.arrays import FloatArray
from gamesales.data.contract import Contract
from gamesales.data.dialect import CsvDialect
from gamesales.data.in_memory import as_batch, as_table, check_columns
from gamesales.data.table import Batch, summarize_rejects
from gamesales.errors import InputError, UsageError
from gamesales.jobs.loading import load, load_references, open_ref
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL
from gamesales.report.format import format_count
from gamesales.scoring.in_memory import score_table
from gamesales.scoring.output import is_single_file, is_table, parse_output
from gamesales.scoring.predict import BatchPrediction, predict_batch
from gamesales.scoring.result_files import read_file, read_folder
from gamesales.scoring.scored_titles import PredictionCache
from gamesales.scoring.scorer import LoadedVersion

if TYPE_CHECKING:
    from gamesales.jobs.score_job import DriftAction, OutputFormat
    from gamesales.scoring.engines import EngineName
    from gamesales.scoring.explanation import Explanation
    from gamesales.scoring.run_report import RunReport


class Predictor:
    """A loaded version. A later promotion does not change it.

    A pickle holds the whole version, so a worker on another machine needs no registry. When it is unpickled, its golden
    rows are reproduced.
    """

    def __init__(self, version: LoadedVersion, references: FloatArray | None = None) -> None:
        self._version = version
        self._references = references
        self._cache = PredictionCache()

    def __reduce__(self) -> tuple[Callable[..., Predictor], tuple[LoadedVersion, FloatArray | None]]:
        return _restore_predictor, (self._version, self._references)

    @property
    def model(self) -> str:
        return self._version.model

    @property
    def version(self) -> int:
        return self._version.number

    @property
    def contract(self) -> Contract:
        return self._version.contract

    @property
    def coverage(self) -> float | None:
        """The nominal coverage of the prediction intervals, or None if the version has no intervals."""
        return self._version.prediction_interval.coverage if self._version.prediction_interval else None

    def predict(self, titles: Any) -> FloatArray:
        """Predict the earnings of titles.

        Args:
            titles: An Arrow table or record batch, a pandas data frame, or a mapping of column names to arrays of
                shape (n,). Columns may come in any order. Columns outside the contract are ignored.

        Returns:
            The earnings in US dollars, float64 (n,), in the order of the rows.

        Raises:
            ColumnsError: Columns are missing, duplicate or not numeric.
            InputError: Rows break the contract. The message names the first few, counted from 1.
            TypeError: The argument is not a table.
        """
        return self._predict(titles).predictions

    def predict_interval(self, titles: Any) -> tuple[FloatArray, FloatArray]:
        """Return the prediction intervals of titles. Their nominal coverage is ``coverage``.

        Intervals of titles unlike the training titles are wider, or NaN if nothing is known about such titles.

        The argument and further errors are those of ``predict``.

        Returns:
            The lower and the upper bounds in US dollars, float64 (n,) each, in the order of the rows.

        Raises:
            UsageError: The version has no prediction intervals.
        """
        if self._version.prediction_interval is None:
            raise UsageError(
                f"version {self.version} of {self.model} has no prediction intervals",
                hint="Train a version with intervals: see [intervals] in docs/guides/train.md",
            )
        low, high = self._predict(titles).bounds
        return low, high

    def explain(self, titles: Any) -> list[Explanation]:
        """Explain predictions: how far each column moves them away from the mean prediction.

        The argument and further errors are those of ``predict``.

        Returns:
            An explanation for each title, in the order of the rows. Its ``mean`` and the ``effect`` of each of its
            ``effects`` add up to its ``prediction``. A sampled effect has a ``standard_error``.

        Raises:
            NoReferenceTitlesError: The version has no reference titles.
        """
        from gamesales.scoring.explain import Explainer
        from gamesales.scoring.reference_titles import make_no_references_error

        if self._references is None:
            raise make_no_references_error(self._version)
        explainer = Explainer(self._version, self._references)
        return [explainer.explain(title) for title in self._predict(titles).screened.values.tolist()]

    def score(self, titles: Any, keep: Sequence[str] | None = None) -> pa.Table:
        """Score a table inside another engine. No row is lost, and a row that breaks the contract raises no error.

        Args:
            titles: An Arrow table or record batch, or a data frame that ``pyarrow.table`` converts, such as a Polars
                frame.
            keep: The columns to copy to the result. None copies all columns that are not features.

        Returns:
            A row for each title, in the order of the rows: the copied columns, the columns that ``gamesales score``
            writes, and ``reject_reason``. A row that breaks the contract has the reason, and null predictions. All
            versions give the same columns. The prediction intervals of a version without intervals are null.

        Raises:
            ColumnsError: Columns are missing, duplicate or not numeric, or a copied column has the name of another
                column of the result.
            InputError: A column can't be converted to an Arrow column.
            TypeError: The argument is not a table.
        """
        table = as_table(titles)
        check_columns(table, self.contract)
        return score_table(table, self._version, keep, self._cache)

    def _predict(self, titles: Any) -> BatchPrediction:
        check_columns(titles, self.contract)
        table = as_batch(titles, self.contract.feature_names)
        rows = np.arange(1, len(table) + 1, dtype=np.int64)
        predicted = predict_batch(Batch(table, rows), self._version)
        rejected = predicted.screened.rejected
        if rejected:
            raise InputError(
                f"{len(rejected):,} of {format_count(len(table), 'row')} can't be scored: "
                f"{summarize_rejects(rejected)}",
                hint="Fix or drop these rows; see docs/reference/contract.md",
            )
        return predicted


def _restore_predictor(version: LoadedVersion, references: FloatArray | None) -> Predictor:
    version.run_self_test()
    return Predictor(version, references)


class Registry:
    """A registry of versions, on disk or in an object store.

    Args:
        path: The folder or URL of the registry. The command line uses ``registry`` by default too.
    """

    def __init__(self, path: str | Path = "registry") -> None:
        self._path = path

    def load(self, ref: str) -> Predictor:
        """Load a version, check its bytes and reproduce its golden rows.

        Args:
            ref: ``4``, ``game-earnings/4``, ``@champion`` or ``game-earnings@champion``.

        Raises:
            UnknownVersionError: The registry has no such model or version.
            NothingPromotedError: The alias names no version.
            IntegrityError: Bytes differ from the digest in the log.
            SelfTestError: The golden rows do not reproduce on this machine.
        """
        registry, parsed = open_ref(self._path, ref, DEFAULT_MODEL)
        version = load(registry, parsed)
        return Predictor(version, load_references(registry, version) if version.reference_titles else None)


def score(
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    output_format: OutputFormat | None = None,
    registry: str | Path = "registry",
    name: str = DEFAULT_MODEL,
    model: str = f"@{CHAMPION}",
    day: str | date | None = None,
    first: str | date | None = None,
    last: str | date | None = None,
    as_of_date: bool = False,
    keep: Sequence[str] | None = None,
    max_rejects: str | int | None = None,
    max_outside: str | None = None,
    on_drift: DriftAction | None = None,
    timezone: str = "UTC",
    engine: EngineName = "local",
    workers: int | None = None,
    unique_ids: bool = False,
    allow_empty: bool = False,
    shadow: str | None = None,
    explain: int = 0,
    fresh: bool = False,
    csv: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    exclude: Sequence[str] = (),
    require: str | None = None,
) -> list[RunReport]:
    """Score files of titles for one date, or for each date of a backfill, as ``gamesales score`` does.

    Args:
        inputs: CSV or Parquet files, folders, globs or Delta tables, or their URLs. ``{date}`` stands for the date of
            the run, and ``{date:%Y/%m/%d}`` for another form of it.
        output: A .csv, .csv.gz or .parquet file, a folder of dated partitions, or the URL of a Delta table.
        output_format: ``delta`` if the output is a folder that holds a Delta table.
        registry: The folder or URL of the registry.
        name: The model.
        model: The reference of the version that scores.
        day: The date of the run, such as ``2026-11-23``. The default is today.
        first: The first date of a backfill.
        last: The last date of a backfill.
        as_of_date: Whether references are resolved as of the end of each date, and not now.
        keep: Columns to copy to the result. None copies all columns that are not features.
        max_rejects: The number of rejects to allow, such as 25 or ``1%``. None: 10 rows or 1%, whichever is larger.
        max_outside: The share of titles outside the training range to allow, such as ``20%``. None allows all.
        on_drift: What a drifted column does: ``warn`` or ``fail`` publish, ``withhold`` publishes nothing; then
            ``is_withheld`` is set in the report of the run. None is ``warn``.
        timezone: The time zone of the dates.
        engine: How shards run: ``local`` in threads of this process, ``ray`` as tasks of the Ray that this process is
            connected to, of the cluster at RAY_ADDRESS, or of a local Ray.
        workers: Threads or tasks that score at a time. None uses one for each core.
        unique_ids: Whether duplicate ids stop a run.
        allow_empty: Whether a run without input files is a run without rows.
        shadow: The reference of a second version that scores the same titles for comparison.
        explain: How many titles, those with the highest predictions, are explained in the report.
        fresh: Whether to score again if the result is already published.
        csv: The dialect of CSV files: ``delimiter``, ``decimal``, ``escape`` and ``encoding``, as in a job file.
        columns: The columns that have other names in the files: our name, and the name in the files.
        exclude: Patterns of files in input folders that are not inputs, such as ``*.md``.
        require: A file that each input folder must have, such as ``_SUCCESS``.

    Returns:
        The report of each run, in the order of the dates.

    Raises:
        UsageError: An argument is wrong, or the output would replace an input.
        InputError: An input can't be used, too many rows are rejected, or too many are outside the training range.
            Nothing is published for that date.
        RegistryError: The registry can't serve the version.
        TryAgainError: A run could not finish now.
    """
    from gamesales.jobs.score import score as run
    from gamesales.jobs.score_job import ScoreJob, choose_dates

    job = ScoreJob(
        inputs=(str(inputs),) if isinstance(inputs, (str, Path)) else tuple(map(str, inputs)),
        output=output if isinstance(output, Path) else parse_output(output),
        format=output_format,
        name=name,
        model=model,
        keep=None if keep is None else tuple(keep),
        max_rejects=None if max_rejects is None else str(max_rejects),
        max_outside=max_outside,
        on_drift=on_drift,
        timezone=timezone,
        engine=engine,
        workers=workers,
        unique_ids=unique_ids,
        allow_empty=allow_empty,
        shadow=shadow,
        explain=explain,
        requires_explanations=explain > 0,
        as_of_date=as_of_date,
        fresh=fresh,
        csv=_to_dialect(csv),
        columns=dict(columns or {}),
        exclude=tuple(exclude),
        require=require,
    )
    dates = choose_dates(
        timezone, day=_to_date(day, "day"), first=_to_date(first, "first"), last=_to_date(last, "last")
    )
    return run(job, registry, dates)


def read_predictions(path: str | Path, day: str | date | None = None, *, version: int | None = None) -> pa.Table:
    """Read the predictions of one run, whole. If another run is published meanwhile, they are read again.

    Args:
        path: The folder of dated partitions, a single file, or the folder or URL of a Delta table. Columns copied from
            a CSV file are text.
        day: The date of the run, such as ``2026-11-23``. A single file needs no date.
        version: The version of the Delta table. The default is the newest version.

    Returns:
        The predictions, a row for each scored title.

    Raises:
        InputNotFoundError: Nothing is published there for the date.
        InputError: A single file differs from its report.
        UsageError: The path is a folder, and no date is given. Or it is not a Delta table, and a version is given.
    """
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
    from gamesales.lake.location import TableLocation
    from gamesales.lake.results import read_table

    parsed = _to_date(day, "day")
    if parsed is None:
        raise UsageError(f"{path} is a table of dates; expected a date", hint='read_predictions(path, "2026-11-23")')
    return read_table(TableLocation(str(path)), parsed, version)


def _to_dialect(settings: Mapping[str, str] | None) -> CsvDialect:
    try:
        return CsvDialect(**settings or {})
    except (TypeError, ValueError) as error:
        raise UsageError(f"csv: {error}", hint='For example: csv={"delimiter": ";", "decimal": ","}') from None


def _to_date(day: str | date | None, label: str) -> date | None:
    from gamesales.jobs.score_job import parse_date

    return parse_date(day, label) if isinstance(day, str) else day
