"""Start from a table: propose its contract, split it, and write the jobs.

gamesales init ../sales.csv --target total_earnings --into store
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.arrays import BoolArray, IntArray
from gamesales.data.dialect import DEFAULT_DIALECT
from gamesales.data.files import escape_surrogates
from gamesales.data.new_files import Writer, require_new, write_new_files
from gamesales.data.source_table import SourceTable, read_source
from gamesales.data.split import split_at_random, split_by_date
from gamesales.data.table import summarize_rejects
from gamesales.errors import ColumnsError, UsageError, suggest
from gamesales.jobs.job_texts import (
    DefaultNetwork,
    format_contract,
    format_score_job,
    format_train_job,
    format_tune_job,
    list_files,
)
from gamesales.jobs.proposal import ColumnDecision, Proposal, propose_contract
from gamesales.registry.refs import DEFAULT_MODEL, check_model


@dataclass(frozen=True)
class InitSettings:
    """The settings of ``gamesales init``.

    Attributes:
        target: the column to predict.
        into: the folder to write to.
        split_by: a column whose values are not divided between training and test.
        split_date: a column whose newest values are the test.
        test_share: the share of the rows in the test part.
        model: the name of the model in the registry.
    """

    target: str
    into: Path = Path()
    split_by: str | None = None
    split_date: str | None = None
    seed: int = 1
    test_share: float = 0.2
    model: str = DEFAULT_MODEL


@dataclass(frozen=True)
class LeftOutRows:
    """The rows that are in neither part, by reason, in counts of rows."""

    without_target: int
    misfits: int
    malformed: int
    blank: int


@dataclass(frozen=True)
class InitResult:
    """The decisions about a table, and the written files.

    Attributes:
        rows: the rows of the table, including the rows in neither part.
        split: how the parts were chosen, in words.
        csv: how the file is written, as in a job; empty for Parquet, and for the defaults of a job.
        columns: what each column became, the target first.
        notes: what people should check.
        files: the paths of the files, from the folder ``into``.
    """

    source: str
    sha256: str
    into: str
    model: str
    target: str
    unit: str
    scale: str
    rows: int
    training_rows: int
    test_rows: int
    left_out: LeftOutRows
    split: str
    csv: dict[str, Any]
    columns: list[ColumnDecision]
    notes: list[str]
    files: list[str]


def init(path: Path, settings: InitSettings) -> InitResult:
    """Propose a contract for a table, split its rows, and write the parts, the contract and the jobs.

    Args:
        path: a CSV or Parquet file.
        settings: what to predict, how to split, and where to write.

    Raises:
        UsageError: a setting is wrong, or a file that would be written exists.
        InputError: the table can't be used.
        TryAgainError: a file can't be read or written now.
    """
    _check_settings(settings)
    for suffix in (".csv", ".parquet"):  # before a large table is read
        require_new([settings.into / name for name in list_files(suffix)])
    source = read_source(path)
    proposal = propose_contract(source, settings.target)
    is_test, split = _split(source, proposal, settings)
    parts = {"training": proposal.fits & ~is_test, "test": proposal.fits & is_test}
    files = _make_writers(source, proposal, settings, parts)
    write_new_files(files)
    return _summarize(source, proposal, settings, parts, split, list(files))


def _check_settings(settings: InitSettings) -> None:
    check_model(settings.model)
    if not 0 < settings.test_share < 1:
        raise UsageError(f"--test-share expects a share above 0 and below 1, received {settings.test_share:g}")
    if settings.seed < 0:
        raise UsageError(f"--seed expects 0 or more, received {settings.seed}")
    if settings.split_by and settings.split_date:
        raise UsageError("--split-by and --split-date exclude each other", hint="Give one of them")


def _split(source: SourceTable, proposal: Proposal, settings: InitSettings) -> tuple[BoolArray, str]:
    """Choose the test rows among the rows that fit: bool (n,), and how they were chosen in words."""
    fits = proposal.fits
    is_test = np.zeros(len(fits), bool)
    if settings.split_date:
        profile = proposal.profiles[_require_column(source, proposal, settings.split_date)]
        if profile.kind != "date" and not profile.is_numeric:
            raise ColumnsError(
                f"{source.path}: {settings.split_date} has no dates ({profile.shown})",
                hint="Give a column of dates, years or other numbers that grow with time",
            )
        is_test[fits] = split_by_date(profile.values[fits], settings.test_share)
        return is_test, f"the newest {settings.split_date} in the test part"
    groups, words = proposal.groups, f"at random, seed {settings.seed}"
    if settings.split_by:
        groups = _number_groups(source, _require_column(source, proposal, settings.split_by))
        words = f"at random by {settings.split_by}, seed {settings.seed}"
    is_test[fits] = split_at_random(groups[fits], settings.test_share, settings.seed)
    return is_test, words


def _require_column(source: SourceTable, proposal: Proposal, name: str) -> str:
    if name not in proposal.profiles:
        names = list(proposal.profiles)
        raise ColumnsError(f"{source.path}: no column {name}{suggest(name, names)}", hint="Give a column of the table")
    return name


def _number_groups(source: SourceTable, name: str) -> IntArray:
    """Number the groups of rows by a column. A row without a value is a group of its own."""
    column = next(column for column in source.columns if column.name == name)
    empty = column.texts.index("") if "" in column.texts else -1
    alone = (column.codes < 0) | (column.codes == empty)
    return np.where(alone, len(column.texts) + np.arange(len(alone)), column.codes)


def _make_writers(
    source: SourceTable, proposal: Proposal, settings: InitSettings, parts: dict[str, BoolArray]
) -> dict[Path, Writer]:
    """Return the writer of each file."""
    suffix, table_format, model = source.suffix, source.table_format, settings.model
    network = DefaultNetwork.choose(proposal.contract, int(np.count_nonzero(parts["training"])))
    texts = {
        "data/contract.toml": format_contract(proposal.contract, proposal.decisions, source.path.name),
        "jobs/train.toml": format_train_job(model, table_format, suffix, network),
        "jobs/tune.toml": format_tune_job(model, table_format, suffix, network),
        "jobs/score.toml": format_score_job(model, table_format, suffix),
    }
    writers: dict[Path, Writer] = {}
    for name, mask in parts.items():
        writers[settings.into / f"data/{name}{suffix}"] = lambda path, mask=mask: source.write_rows(path, mask)  # type: ignore[misc]
    for name, text in texts.items():
        writers[settings.into / name] = lambda path, text=text: path.write_text(text, "utf-8", "backslashreplace")  # type: ignore[misc]
    return writers


def _summarize(
    source: SourceTable,
    proposal: Proposal,
    settings: InitSettings,
    parts: dict[str, BoolArray],
    split: str,
    files: list[Path],
) -> InitResult:
    target = proposal.contract.target
    dialect, defaults = asdict(source.dialect or DEFAULT_DIALECT), asdict(DEFAULT_DIALECT)
    notes = list(proposal.notes)
    if source.malformed:
        notes.append(f"rows that can't be read are left out: {summarize_rejects(source.malformed)}")
    if proposal.misfits:
        notes.append(f"rows that do not fit are left out: {summarize_rejects(proposal.misfits)}")
    return InitResult(
        source=escape_surrogates(str(source.path)),
        sha256=source.sha256,
        into=str(settings.into),
        model=settings.model,
        target=target.name,
        unit=target.unit,
        scale=target.scale,
        rows=len(source.rows) + len(source.malformed) + source.blank,
        training_rows=int(np.count_nonzero(parts["training"])),
        test_rows=int(np.count_nonzero(parts["test"])),
        left_out=LeftOutRows(proposal.without_target, len(proposal.misfits), len(source.malformed), source.blank),
        split=split,
        csv={key: value for key, value in dialect.items() if value != defaults[key]},
        columns=list(proposal.decisions),
        notes=notes,
        files=[path.relative_to(settings.into).as_posix() for path in files],
    )
