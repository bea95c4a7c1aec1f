"""Check how well a file fits a contract. The rows are screened as training and scoring screen them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.arrays import BoolArray
from gamesales.data.categories import OTHER, count_categories
from gamesales.data.column_profile import shorten_cell
from gamesales.data.contract import Column, Contract
from gamesales.data.csv_sniff import sniff_dialect
from gamesales.data.dialect import DEFAULT_DIALECT, CsvDialect, TableFormat
from gamesales.data.files import escape_surrogates, read_stamp, require_unchanged
from gamesales.data.labeled_titles import learn_categories
from gamesales.data.open_table import open_table
from gamesales.data.screen import read_numbers, require_columns, screen
from gamesales.data.table import Batch, RejectedRow, TableFile
from gamesales.errors import InputError, InputNotFoundError

_SHOWN = 3
# The training part that `gamesales init` writes beside the contract.
_TRAINING_PARTS = ("training.csv", "training.parquet")


@dataclass(frozen=True)
class CheckedColumn:
    """How well a column fits.

    Attributes:
        missing: the number of missing cells, accepted or not.
        misfits: the number of cells that reject their row.
        unseen: of a category: the number of cells with a value that neither the contract lists nor training learns.
            Without listed values and a training part: with a value in fewer rows than ``min_count``.
        examples: rows that do not fit with the reason, and unseen values.
    """

    name: str
    kind: str
    missing: int
    misfits: int
    unseen: int
    examples: list[str]


@dataclass(frozen=True)
class ContractCheck:
    """How well a file fits a contract.

    Attributes:
        rows: the rows of the file, blank rows left out.
        rows_fitting: the rows that scoring would accept, or training if the file has the target.
        fits: whether all rows fit.
        lacking: the features that the file lacks.
        further: the columns that the contract does not name.
        malformed: the first rows that can't be read, with the reason.
        csv: how the file is written, as in a job; empty for Parquet, and for the defaults of a job.
        notes: points that people should check.
        training: the training part beside the contract, from which the values of categories are learned. None if there
            is none, or if no category needs it.
    """

    file: str
    contract: str
    training: str | None
    rows: int
    rows_fitting: int
    fits: bool
    lacking: list[str]
    further: list[str]
    malformed: list[str]
    columns: list[CheckedColumn]
    csv: dict[str, Any]
    notes: list[str]


@dataclass
class _ColumnCheck:
    """The counts of a column so far."""

    column: Column
    missing: int = 0
    misfits: int = 0
    first_misfits: list[RejectedRow] = field(default_factory=list)
    other_cells: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def check(self, batch: Batch, missing_values: Sequence[str]) -> BoolArray:
        """Count the cells of a batch. Return bool (n,), True for the rows whose cell fits."""
        cells = read_numbers(batch, [self.column], missing_values)
        numbers, is_missing = cells[0]
        screened = screen(batch, [self.column], cells)
        malformed = {row.row for row in batch.malformed}
        misfits = [row for row in screened.rejected if row.row not in malformed]
        self.missing += int(np.count_nonzero(is_missing))
        self.misfits += len(misfits)
        self.first_misfits += misfits[: _SHOWN - len(self.first_misfits)]
        if self.column.kind == "category":
            self.counts.update(count_categories(batch.table.column(self.column.name), missing_values))
            self.other_cells += int(np.count_nonzero(numbers == OTHER))
        return screened.accepted

    def finish(self) -> CheckedColumn:
        unseen = self._list_unseen()
        examples = [f"row {row.row} {shorten_cell(row.value)!r} {_get_reason(row)}" for row in self.first_misfits]
        examples += [f"{shorten_cell(text)} ({count:,})" for text, count in unseen.most_common(_SHOWN)]
        return CheckedColumn(
            self.column.name, self.column.kind, self.missing, self.misfits, unseen.total(), examples[:_SHOWN]
        )

    def _list_unseen(self) -> Counter[str]:
        """Count the cells of each value that the contract does not list, or that is rare in this file."""
        column = self.column
        if column.values:
            return Counter({text: count for text, count in self.counts.items() if text not in column.values})
        return Counter({text: count for text, count in self.counts.items() if count < column.min_count})


def check_contract(path: Path, contract_path: Path) -> ContractCheck:
    """Check how well a file fits a contract.

    Args:
        path: a CSV file of any dialect, or a Parquet file. It may lack the target, as new titles do.
        contract_path: the contract.

    Raises:
        JobFileError: the contract is wrong.
        InputError: the file can't be read, or a column has a type that does not fit its kind.
        TryAgainError: the file was changed while it was read.
    """
    contract, training = _learn_values(Contract.from_toml(contract_path), contract_path.parent)
    if not path.exists():
        raise InputNotFoundError(f"no file {path}", hint="Give the path of an existing CSV or Parquet file")
    if not path.is_file():
        raise InputError(f"{path} is not a plain file; expected CSV or Parquet", hint="Give the path of a file")
    with require_unchanged(path, read_stamp(path)):
        dialect = sniff_dialect(path)
        table = open_table(path, _describe_format(path, dialect))
        names = table.schema.names
        columns = [column for column in (*contract.features, contract.target) if column.name in names]
        require_columns(str(path), table.schema, columns)
        checks = [_ColumnCheck(column) for column in columns]
        rows, rows_fitting, malformed = _check_rows(table, checks, contract.missing_values)
    checked = [check.finish() for check in checks]
    lacking = [name for name in contract.feature_names if name not in names]
    named = {*contract.feature_names, contract.target.name, *contract.identity}
    values, defaults = asdict(dialect or DEFAULT_DIALECT), asdict(DEFAULT_DIALECT)
    return ContractCheck(
        file=escape_surrogates(str(path)),
        contract=escape_surrogates(str(contract_path)),
        training=None if training is None else escape_surrogates(str(training)),
        rows=rows,
        rows_fitting=0 if lacking else rows_fitting,
        fits=not lacking and rows_fitting == rows,
        lacking=lacking,
        further=[name for name in names if name not in named],
        malformed=[f"row {row.row}: {row.reason}" for row in malformed[:_SHOWN]],
        columns=checked,
        csv={key: value for key, value in values.items() if value != defaults[key]},
        notes=_list_notes(contract, names, checked),
    )


def _learn_values(contract: Contract, folder: Path) -> tuple[Contract, Path | None]:
    """Learn the values of categories from the training part in a folder, as training does.

    Without a training part, a category without listed values accepts all of them.
    """
    if all(column.values for column in contract.features if column.kind == "category"):
        return contract, None
    training = next((folder / name for name in _TRAINING_PARTS if (folder / name).is_file()), None)
    if training is not None:
        return learn_categories(training, contract, _describe_format(training, sniff_dialect(training))), training
    features = [
        replace(column, unseen="other") if column.kind == "category" and not column.values else column
        for column in contract.features
    ]
    return replace(contract, features=tuple(features)), None


def _describe_format(path: Path, dialect: CsvDialect | None) -> TableFormat:
    """Describe how a table is written. Blanks around the names of its columns are removed."""
    csv = dialect or DEFAULT_DIALECT
    names = open_table(path, TableFormat(csv)).schema.names
    stripped = [name.strip() for name in names]
    renames = {new: name for new, name in zip(stripped, names, strict=True) if new != name and stripped.count(new) == 1}
    return TableFormat(csv, renames)


def _check_rows(
    table: TableFile, checks: Sequence[_ColumnCheck], missing_values: Sequence[str]
) -> tuple[int, int, list[RejectedRow]]:
    """Check all rows. Return the number of rows, the number that fits, and the malformed rows."""
    rows, rows_fitting, malformed = 0, 0, list[RejectedRow]()
    names = [check.column.name for check in checks] or table.schema.names[:1]
    for batch in table.read_batches(names):
        accepted = np.ones(len(batch.rows), bool)
        for check in checks:
            accepted &= check.check(batch, missing_values)
        rows += len(batch.rows) + len(batch.malformed)
        rows_fitting += int(np.count_nonzero(accepted))
        malformed += batch.malformed
    return rows, rows_fitting, malformed


def _list_notes(contract: Contract, names: Sequence[str], checked: Sequence[CheckedColumn]) -> list[str]:
    notes = []
    merged = {column.name for column in contract.features if column.values and column.unseen == "other"}
    unseen = [column.name for column in checked if column.unseen and column.name in merged]
    if unseen:
        notes.append(f"unseen values of {', '.join(unseen)} are scored as the value other")
    if contract.target.name not in names:
        use = ": it can be scored, but not trained on" if set(contract.feature_names) <= set(names) else ""
        notes.append(f"the file lacks the target {contract.target.name}{use}")
    identity = [name for name in contract.identity if name not in names]
    if identity:
        notes.append(f"the file lacks the identity {', '.join(identity)}")
    return notes


def _get_reason(row: RejectedRow) -> str:
    """Return the reason of a rejected row without the name of the column."""
    return row.reason.removeprefix(f"{row.column}: ")
