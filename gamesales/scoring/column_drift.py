"""The drift of one column: its difference from training in numbers and in words.

Codes of categories have no mean, and dates are no plain numbers. A column may also drift because more of its cells are
missing, or because more of its values were rare or unknown in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gamesales.data.categories import OTHER, format_code, list_codes, shorten_label
from gamesales.data.contract import Column
from gamesales.data.dates import format_date

# The words mention a change of the share of unseen values from here on.
_CLEAR_CHANGE = 0.01


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column of a run is from training.

    Attributes:
        psi: the population stability index.
        psi_by_chance: the mean index of as many rows drawn from the training data.
        limit: the index above which the column counts as drifted.
        share_outside: the share of rows outside the range in training, 0 to 1; None for the predictions.
        training_mean: the mean in training; None if it was not recorded.
        mean: the mean of the run; None without rows.
        change: both means in words; empty if either is missing.
        edges: the b - 1 edges of the bins, as in ``Profile``; empty in the report of an earlier release.
        training_counts: the rows in each of the b bins in training.
        counts: the rows of the run in each bin.
        unit: the unit of the values, such as ``US dollars``; empty without a unit.
    """

    column: str
    psi: float
    psi_by_chance: float
    limit: float
    share_outside: float | None
    drifted: bool
    training_mean: float | None = None
    mean: float | None = None
    change: str = ""
    edges: list[float] = field(default_factory=list)
    training_counts: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    unit: str = ""


@dataclass(frozen=True)
class EncodedColumnDrift(ColumnDrift):
    """The drift of a category, of a date, or of a column whose cells may be missing.

    The means of a category are None, those of a date are days since 1970-01-01. Missing cells are in the last bin.

    Attributes:
        kind: the kind of the column in the contract.
        labels: of a category, the text of each of the b bins; otherwise empty.
        share_unseen: of a category, the share of titles whose value is none of its values; None for another kind.
        training_share_unseen: the same in training, where these values were rare.
        share_missing: the share of titles without a value; None if no cell may be missing.
        training_share_missing: the same in training.
    """

    kind: str = "number"
    labels: list[str] = field(default_factory=list)
    share_unseen: float | None = None
    training_share_unseen: float | None = None
    share_missing: float | None = None
    training_share_missing: float | None = None


def add_encoding(drift: ColumnDrift, column: Column) -> ColumnDrift | EncodedColumnDrift:
    """Describe the drift of a column by its kind in the contract. A number without missing cells stays as it is."""
    if column.kind not in ("category", "date") and not column.may_be_missing:
        return drift
    encoded = EncodedColumnDrift(**vars(drift), kind=column.kind)
    if column.may_be_missing:
        before, now = (_compute_shares(counts)[-1] for counts in (drift.training_counts, drift.counts))
        encoded = replace(encoded, training_share_missing=before, share_missing=now)
    if column.kind == "category":
        return _describe_category(encoded, column)
    changes = [_write_dates(encoded) if column.kind == "date" else encoded.change]
    if encoded.training_share_missing != encoded.share_missing:
        changes.append(_write_shares(f"missing {column.name}", encoded.training_share_missing, encoded.share_missing))
    return replace(encoded, change="; ".join(filter(None, changes)) if sum(drift.counts) else "")


def _describe_category(drift: EncodedColumnDrift, column: Column) -> EncodedColumnDrift:
    """Describe the value whose share changed most, and the share of rare or unseen values if it changed clearly."""
    before, now = _compute_shares(drift.training_counts), _compute_shares(drift.counts)
    names = [f"{column.name} {label}" for label in label_code_bins(column, drift.edges)]
    names[OTHER] = f"rare or unseen {column.name}"
    if column.may_be_missing:
        names[-1] = f"missing {column.name}"
    differences = [abs(after - share) for share, after in zip(before, now, strict=True)]
    bins = [differences.index(max(differences))]
    if bins != [OTHER] and differences[OTHER] >= _CLEAR_CHANGE:
        bins.append(OTHER)
    change = "; ".join(_write_shares(names[number], before[number], now[number]) for number in bins)
    return replace(
        drift,
        training_mean=None,
        mean=None,
        change=change if sum(drift.counts) else "",
        labels=label_code_bins(column, drift.edges),
        training_share_unseen=before[OTHER],
        share_unseen=now[OTHER],
    )


def label_code_bins(column: Column, edges: Sequence[float]) -> list[str]:
    """Write the codes in each bin of a category: the text of a value, ``other``, ``missing``, or the number of values.

    Args:
        column: the category.
        edges: the b - 1 edges of the bins between codes.
    """
    codes, bounds = len(list_codes(column)), [0, *(round(edge + 0.5) for edge in edges)]
    labels = []
    for first, end in zip(bounds, [*bounds[1:], codes], strict=True):
        rarer = f"{end - first:,} rarer values"
        labels.append(rarer if end - first > 1 else shorten_label(format_code(column, first)))
    return labels


def _compute_shares(counts: Sequence[int]) -> list[float]:
    total = max(sum(counts), 1)
    return [count / total for count in counts]


def _write_dates(drift: ColumnDrift) -> str:
    if drift.mean is None or drift.training_mean is None:
        return ""
    before, now = format_date(drift.training_mean), format_date(drift.mean)
    return f"average {drift.column}: {before} in training, {now} tonight"


def _write_shares(subject: str, before: float | None, now: float | None) -> str:
    return f"{subject}: {_write_share(before or 0.0)} of titles in training, {_write_share(now or 0.0)} tonight"


def _write_share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"
