"""How the columns of two contracts differ, in words: for the gate, and for the comparison of two versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gamesales.data.contract import Column, Contract

_FILLS = {
    "reject": "rejects its row",
    "mean": "becomes the mean",
    "median": "becomes the median",
    "category": "is a category of its own",
}
_UNSEEN = {"other": "becomes other", "reject": "rejects its row"}
# Values that a text lists.
_SHOWN_VALUES = 3
# The keys with a sentence of their own.
_DESCRIBED = ("name", "kind", "missing", "unseen", "values")


@dataclass(frozen=True)
class ColumnChange:
    """A difference between a column of a contract and the same column of an earlier contract.

    Attributes:
        column: the name of the column.
        change: what differs, in words.
        concerns_inputs: whether cells that the earlier contract accepts may now have another meaning or be rejected.
    """

    column: str
    change: str
    concerns_inputs: bool = False


def list_column_changes(before: Contract, after: Contract) -> list[ColumnChange]:
    """List the differences between the features of two contracts, in the order of the later one."""
    earlier = {column.name: column for column in before.features}
    changes: list[ColumnChange] = []
    for column in after.features:
        if column.name in earlier:
            changes += _compare_columns(earlier.pop(column.name), column)
        else:
            changes.append(ColumnChange(column.name, f"new, {name_kind(column)}"))
    return [*changes, *(ColumnChange(name, "no longer needed") for name in earlier)]


def name_kind(column: Column) -> str:
    """Name the kind of a column with its article: ``a category``."""
    return f"a {column.kind}"


def _compare_columns(before: Column, after: Column) -> Iterator[ColumnChange]:
    name = after.name
    if before.kind != after.kind:
        is_other_type = bool({before.kind, after.kind} & {"category", "date"})
        yield ColumnChange(name, f"{name_kind(after)}, before {name_kind(before)}", is_other_type)
    if before.missing != after.missing:
        change = f"a missing cell {_describe_fill(after)}, before it {_describe_fill(before)}"
        yield ColumnChange(name, change, concerns_inputs=True)
    if before.unseen != after.unseen:
        change = f"an unseen value {_UNSEEN[after.unseen]}, before it {_UNSEEN[before.unseen]}"
        yield ColumnChange(name, change, concerns_inputs=after.unseen == "reject")
    if set(before.values) != set(after.values) and before.kind == after.kind:
        yield ColumnChange(name, _compare_values(before.values, after.values))
    for key in after.__dataclass_fields__:
        old, new = getattr(before, key), getattr(after, key)
        if key not in _DESCRIBED and old != new:
            yield ColumnChange(name, f"{key.replace('_', ' ')} {_write(new)}, before {_write(old)}")


def _describe_fill(column: Column) -> str:
    return _FILLS.get(str(column.missing)) or f"becomes {column.missing:g}"


def _write(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value) if value not in (None, "") else "none"


def _compare_values(before: Sequence[str], after: Sequence[str]) -> str:
    # In the order of their frequency, as dicts keep it.
    new, removed = dict.fromkeys(after), dict.fromkeys(before)
    parts = [
        _list_values([value for value in new if value not in removed], "new"),
        _list_values([value for value in removed if value not in new], "removed"),
    ]
    return "; ".join(filter(None, parts))


def _list_values(values: Sequence[str], state: str) -> str:
    from gamesales.data.categories import shorten_label

    if not values:
        return ""
    shown = ", ".join(map(shorten_label, values[:_SHOWN_VALUES]))
    more = f", and {len(values) - _SHOWN_VALUES:,} more" if len(values) > _SHOWN_VALUES else ""
    return f"{len(values):,} {state} value{'' if len(values) == 1 else 's'}: {shown}{more}"
