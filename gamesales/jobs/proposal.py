"""Propose a contract for a table: the role of each column, and the columns that leak the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gamesales.arrays import BoolArray, FloatArray, IntArray
from gamesales.data.column_profile import ColumnProfile, list_missing_texts
from gamesales.data.contract import Column, Contract
from gamesales.data.infer import infer_column, infer_target
from gamesales.data.open_table import open_table
from gamesales.data.screen import screen
from gamesales.data.source_table import SourceTable
from gamesales.data.table import RejectedRow, summarize_rejects
from gamesales.diagnostics.target_leaks import find_leaks
from gamesales.errors import ColumnsError, InputError, suggest
from gamesales.report.format import format_count

TARGET, FEATURE, IDENTITY, LEFT_OUT = "target", "feature", "identity", "left out"
_MOST_NAMES = 10
# A larger share of rows with the same features has a note.
_MIN_ALIKE = 0.01


@dataclass(frozen=True)
class ColumnDecision:
    """The role of a column, with the reason.

    Attributes:
        use: ``target``, ``feature``, ``identity`` or ``left out``.
        kind: the kind in the contract. None for a column that is neither target nor feature.
        missing: the number of missing cells.
        rule: how a missing cell is handled, as in the contract. None for other columns than features.
        values: the range of the values, or the most frequent values, in words.
    """

    name: str
    use: str
    kind: str | None
    missing: int
    rule: str | None
    values: str
    why: str


@dataclass(frozen=True)
class Proposal:
    """A contract for a table of n well-formed rows, with its reasons.

    Attributes:
        fits: bool (n,), the rows that fit the contract and have a target.
        without_target: the number of rows without a target.
        misfits: the rows that have a target and do not fit, in row order.
        profiles: the content of each column, by its name.
        groups: int64 (n,), equal for rows that are the same in all columns.
        notes: points that people should check.
    """

    contract: Contract
    decisions: Sequence[ColumnDecision]
    fits: BoolArray
    without_target: int
    misfits: Sequence[RejectedRow]
    profiles: Mapping[str, ColumnProfile]
    groups: IntArray
    notes: Sequence[str]


def propose_contract(source: SourceTable, target: str) -> Proposal:
    """Propose a contract.

    Args:
        source: the table.
        target: the name of the column to predict.

    Raises:
        ColumnsError: there is no such column, or it has no numbers.
        InputError: no column can be a feature, or no row fits.
    """
    decimal = source.dialect.decimal if source.dialect else "."
    profiles = {column.name: infer_column(column, decimal) for column in source.columns}
    target_column, scale_reason = _propose_target(source, profiles, target)
    reasons = _find_exclusions(profiles, target)
    features = [
        profile.column
        for name, profile in profiles.items()
        if profile.column is not None and name != target and name not in reasons.excluded
    ]
    if not features:
        listed = _list_reasons(source, profiles, reasons.excluded, target)
        why = "; ".join(f"{name}: {reason}" for name, reason in listed) or "it has only the target"
        raise InputError(f"{source.path} has no column that can be a feature: {why}", hint="Add columns to the table")
    identity = tuple(
        name for name, profile in profiles.items() if profile.is_identity and name not in {target, *reasons.excluded}
    )
    missing_values = list_missing_texts([profiles[name] for name in (*(column.name for column in features), target)])
    contract = Contract(target_column, tuple(features), identity, missing_values)
    fits, misfits, without_target = _screen_rows(source, contract, profiles[target])
    groups = _number_rows(source, [column.name for column in source.columns])
    notes = [*(note for profile in profiles.values() for note in profile.notes), *reasons.notes]
    notes += _describe_duplicates(source, contract, groups, fits)
    return Proposal(
        contract=contract,
        decisions=_decide(source, contract, profiles, reasons.excluded, scale_reason),
        fits=fits,
        without_target=without_target,
        misfits=misfits,
        profiles=profiles,
        groups=groups,
        notes=notes,
    )


def _propose_target(source: SourceTable, profiles: Mapping[str, ColumnProfile], target: str) -> tuple[Column, str]:
    if target not in profiles:
        names = [*profiles, *source.unreadable]
        listed = ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
        reason = source.unreadable.get(target)
        fault = f"column {target} {reason}" if reason else f"no column {target}{suggest(target, names)}"
        raise ColumnsError(f"{source.path}: {fault}", hint=f"Its columns are {listed}")
    profile = profiles[target]
    numbers = profile.values[~np.isnan(profile.values)]
    if not profile.is_numeric:
        kind = {"date": "dates", "category": "text"}.get(profile.kind or "", f"no numbers: {profile.why}")
        raise ColumnsError(
            f"{source.path}: the target {target} has {kind} ({profile.shown}); expected numbers",
            hint="Give the column to predict: --target COLUMN",
        )
    if len(np.unique(numbers)) < 2:
        raise ColumnsError(f"{source.path}: the target {target} has the same value in every row; nothing to learn")
    return infer_target(profile)


@dataclass(frozen=True)
class _Exclusions:
    """The reasons for leaving out usable columns, by name, and notes for people."""

    excluded: dict[str, str]
    notes: Sequence[str]


def _find_exclusions(profiles: Mapping[str, ColumnProfile], target: str) -> _Exclusions:
    """Find the columns that leak, and the columns that repeat another column."""
    has_target = ~np.isnan(profiles[target].values)
    others = {name: profile for name, profile in profiles.items() if name != target}
    numbers = {
        name: profile.values[has_target]
        for name, profile in others.items()
        if profile.distinct > 1 and (profile.is_numeric or profile.kind == "date")
    }
    groups = {name: profile.values[has_target] for name, profile in others.items() if profile.kind == "category"}
    leaks = find_leaks(numbers, groups, profiles[target].values[has_target], target)
    copies = _find_copies({name: profile for name, profile in others.items() if name not in leaks.leaks})
    return _Exclusions({**leaks.leaks, **copies}, leaks.notes)


def _find_copies(profiles: Mapping[str, ColumnProfile]) -> dict[str, str]:
    """Find the features that have the values of an earlier feature, also under other names, such as codes of genres."""
    firsts: dict[tuple[bool, bytes], str] = {}
    copies = {}
    for name, profile in profiles.items():
        if profile.column is None:
            continue
        is_category = profile.kind == "category"
        key = is_category, (_number_by_first(profile.values) if is_category else profile.values).tobytes()
        first = firsts.setdefault(key, name)
        if first != name:
            copies[name] = f"has a value for each value of {first}" if is_category else f"has the values of {first}"
    return copies


def _number_by_first(values: FloatArray) -> IntArray:
    """Number distinct values in the order in which they appear, (n,); -1 for a missing cell."""
    _, first, codes = np.unique(values, return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return np.where(np.isnan(values), -1, order[codes.reshape(-1)])


def _screen_rows(
    source: SourceTable, contract: Contract, target: ColumnProfile
) -> tuple[BoolArray, list[RejectedRow], int]:
    """Screen the rows as training will: which fit, which do not although they have a target, and how many have none."""
    columns = [*contract.features, contract.target]
    accepted, rejected = [], list[RejectedRow]()
    table = open_table(source.path, source.table_format)
    for batch in table.read_batches([column.name for column in columns]):
        screened = screen(batch, columns, missing_values=contract.missing_values)
        accepted.append(screened.accepted)
        rejected += screened.rejected
    fits = np.concatenate(accepted)
    if not fits.any():
        raise InputError(f"{source.path}: no row fits: {summarize_rejects(rejected)}", hint="Check the columns")
    without_target = set(source.rows[target.missing].tolist())
    malformed = {row.row for row in source.malformed}
    misfits = [row for row in rejected if row.row not in without_target and row.row not in malformed]
    return fits, misfits, len(without_target)


def _number_rows(source: SourceTable, names: Sequence[str]) -> IntArray:
    """Number the distinct rows in some columns: int64 (n,), counted from 0."""
    numbers = np.zeros(len(source.rows), np.int64)
    for column in source.columns:
        if column.name in names:
            # Below n²: at most n numbers and n texts. np.unique brings the numbers below n again.
            _, numbers = np.unique(numbers * (len(column.texts) + 1) + column.codes + 1, return_inverse=True)
            numbers = numbers.reshape(-1)
    return numbers


def _describe_duplicates(source: SourceTable, contract: Contract, groups: IntArray, fits: BoolArray) -> list[str]:
    notes = []
    repeated = _count_repeated(groups[fits])
    if repeated:
        count = format_count(repeated, "row")
        notes.append(f"{count} equal to another row in all columns; equal rows are in the same part")
    alike = _count_repeated(_number_rows(source, contract.feature_names)[fits]) - repeated
    if alike > _MIN_ALIKE * np.count_nonzero(fits):
        count = f"{alike:,} {'further ' if repeated else ''}rows"
        notes.append(f"{count} have the same features as another row, which may be in the other part; see --split-by")
    return notes


def _count_repeated(groups: IntArray) -> int:
    """Return how many rows repeat an earlier row."""
    return len(groups) - len(np.unique(groups))


def _decide(
    source: SourceTable,
    contract: Contract,
    profiles: Mapping[str, ColumnProfile],
    excluded: Mapping[str, str],
    scale_reason: str,
) -> list[ColumnDecision]:
    """Describe the role of each column, the target first, then in the order of the table."""
    columns = {column.name: column for column in contract.features}
    reasons = dict(_list_reasons(source, profiles, excluded, contract.target.name))
    decisions: list[ColumnDecision] = []
    for name, profile in profiles.items():
        column = columns.get(name)
        use = FEATURE if column else IDENTITY if name in contract.identity else LEFT_OUT
        decision = ColumnDecision(
            name=name,
            use=use,
            kind=column.kind if column else None,
            missing=int(np.count_nonzero(profile.missing)),
            rule=str(column.missing) if column else None,
            values=profile.shown,
            why=reasons.get(name, profile.why),
        )
        if name == contract.target.name:
            decision = replace(decision, use=TARGET, kind=contract.target.kind, rule=None, why=scale_reason)
            decisions.insert(0, decision)
        else:
            decisions.append(decision)
    unreadable = [
        ColumnDecision(name, LEFT_OUT, None, 0, None, "-", reason) for name, reason in source.unreadable.items()
    ]
    return decisions + unreadable


def _list_reasons(
    source: SourceTable, profiles: Mapping[str, ColumnProfile], excluded: Mapping[str, str], target: str
) -> list[tuple[str, str]]:
    """List why columns are not features."""
    unusable = [(name, profile.why) for name, profile in profiles.items() if profile.column is None and name != target]
    return [
        *((name, why) for name, why in unusable if name not in excluded),
        *excluded.items(),
        *source.unreadable.items(),
    ]
