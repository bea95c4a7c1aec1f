"""Predict the earnings of one title."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from gamesales.data.categories import is_unseen, list_distinct_texts
from gamesales.data.contract import Column, Contract
from gamesales.data.dates import format_date
from gamesales.data.in_memory import select_features
from gamesales.data.table import Batch
from gamesales.errors import ColumnsError, InputError, UsageError, suggest
from gamesales.jobs.loading import load, load_references
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.report.format import format_count
from gamesales.scoring.explanation import Explanation
from gamesales.scoring.predict import predict_batch
from gamesales.stats.amounts import InUnit, keeps_unit, set_unit

if TYPE_CHECKING:
    from gamesales.arrays import FloatArray
    from gamesales.scoring.scorer import LoadedVersion

# A message shows at most this much of a value, which may have megabytes.
_MOST_CHARACTERS = 60


@dataclass(frozen=True)
class OutsideValue:
    """A value outside the range of the training titles. Dates are text in ISO 8601."""

    column: str
    value: float | str
    training_minimum: float | str
    training_maximum: float | str


@dataclass(frozen=True)
class UnseenValue:
    """A category that was not in training, or in too few titles.

    Attributes:
        value: The text of the title. Empty if no training title had a missing value.
        nearest: The most similar category of training, or None if none is similar.
    """

    column: str
    value: str
    nearest: str | None


@dataclass(frozen=True)
class Prediction(InUnit):
    """The predicted earnings of one title, in the unit of the target.

    Attributes:
        predicted_earnings_low: The lower bound of the prediction interval. None if the version has no intervals, or if
            the title is too unlike the training titles for an interval.
        predicted_earnings_high: The upper bound, or None.
        coverage: The nominal coverage of the interval. None if the version has no intervals.
        outside_training_range: Whether a feature is outside the range of the training titles.
        unfamiliar: Whether a feature is outside this range, no training title had the same combination of flags, or the
            prediction was clipped. None for a version that recorded no combinations.
        outside: The values outside the range.
        unseen: The categories that were not in training, and are scored as ``other``.
        clipped: Whether the prediction was moved into the allowed range of the target.
        explanation: How far each column moves the prediction away from the mean. None unless it is requested.
    """

    model: str
    model_version: int
    predicted_earnings: float
    predicted_earnings_low: float | None
    predicted_earnings_high: float | None
    coverage: float | None
    outside_training_range: bool
    unfamiliar: bool | None
    outside: list[OutsideValue]
    unseen: list[UnseenValue]
    clipped: bool
    explanation: Explanation | None = None


def parse_title(assignments: Sequence[str]) -> dict[str, str]:
    """Read the words ``critic_rating=4.5 is_action=1 …``.

    Raises:
        UsageError: A word has no value, or a name is duplicate.
    """
    title: dict[str, str] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or name in title:
            problem = "given twice" if separator else "no name=value"
            raise UsageError(f"{assignment!r} is {problem}; expected, for example, critic_rating=4.5")
        title[name] = value
    return title


@keeps_unit
def predict(registry: ModelRegistry, ref: Ref, title: Mapping[str, object], *, explain: bool = False) -> Prediction:
    """Predict the earnings of one title from its features.

    Args:
        registry: The registry of the model.
        ref: The version that predicts.
        title: The value of each feature by name, or its text. An empty text and None are missing values. A feature that
            may be missing may be left out.
        explain: Whether to explain the prediction.

    Raises:
        ColumnsError: Features are missing or misspelled. The message names each.
        InputError: A value breaks the contract.
        NoReferenceTitlesError: The version can't explain its predictions.
    """
    version = load(registry, ref)
    set_unit(version.contract.unit)
    references = load_references(registry, version) if explain else None
    _check_names(title, version.contract)
    table = select_features({name: [title.get(name, "")] for name in version.contract.feature_names}, version.contract)
    predicted = predict_batch(Batch(table, np.ones(1, np.int64)), version)
    unseen = _find_unseen(table, version.contract)
    if predicted.screened.rejected:
        reason = predicted.screened.rejected[0].reason
        hint = "See docs/reference/contract.md"
        if refused := [value for value in unseen if _get_column(version.contract, value.column).unseen == "reject"]:
            hint = f"{'; '.join(map(describe_unseen, refused))}. {hint}"
        raise InputError(f"this title can't be scored: {reason}", hint=hint)
    values = [low for low, _ in predicted.extremes]
    bounds = [float(bound[0]) for bound in predicted.bounds]
    low, high = bounds if bounds and not predicted.rows_without_interval else (None, None)
    return Prediction(
        model=version.model,
        model_version=version.number,
        predicted_earnings=float(predicted.predictions[0]),
        predicted_earnings_low=low,
        predicted_earnings_high=high,
        coverage=version.prediction_interval.coverage if version.prediction_interval else None,
        outside_training_range=bool(predicted.outside_range[0]),
        unfamiliar=None if predicted.unfamiliar is None else bool(predicted.unfamiliar[0]),
        outside=_list_outside(version, values),
        unseen=[*unseen, *_find_new_gaps(version, values, unseen)],
        clipped=predicted.rows_clipped > 0,
        explanation=None if references is None else _explain(version, references, predicted.screened.values),
    )


def _list_outside(version: LoadedVersion, values: Sequence[float]) -> list[OutsideValue]:
    """List the numbers and dates outside the range of training. A missing value is inf."""
    ranges = zip(version.training_min.tolist(), version.training_max.tolist(), strict=True)
    return [
        OutsideValue(column.name, *(_write_date(number, column) for number in (value, smallest, largest)))
        for column, value, (smallest, largest) in zip(version.contract.features, values, ranges, strict=True)
        if column.kind != "category" and math.isfinite(value) and not smallest <= value <= largest
    ]


def _write_date(value: float, column: Column) -> float | str:
    return format_date(value) if column.kind == "date" else value


def _find_unseen(title: pa.RecordBatch, contract: Contract) -> list[UnseenValue]:
    """Find the categories of a title that training has not seen."""
    unseen = []
    for column in contract.features:
        if column.kind != "category":
            continue
        texts, (index,) = list_distinct_texts(title.column(column.name))
        text = texts[index]
        if is_unseen(text, column, contract.missing_values):
            from difflib import get_close_matches

            shown = text[:_MOST_CHARACTERS]
            by_lower_case = {value.lower(): value for value in reversed(column.values)}
            nearest = get_close_matches(shown.lower(), by_lower_case, n=1)
            unseen.append(UnseenValue(column.name, text, by_lower_case[nearest[0]] if nearest else None))
    return unseen


def _find_new_gaps(
    version: LoadedVersion, values: Sequence[float], unseen: Sequence[UnseenValue]
) -> Iterator[UnseenValue]:
    """Find the categories that are missing, and that no training title lacks."""
    named = {value.column for value in unseen}
    for column, code, largest in zip(version.contract.features, values, version.training_max.tolist(), strict=True):
        if column.kind == "category" and column.name not in named and code > largest:
            yield UnseenValue(column.name, "", None)


def describe_unseen(value: UnseenValue) -> str:
    """Describe a category that training has not seen, with the most similar category."""
    if not value.value:
        return f"{value.column}: it is missing, which no training title had"
    shown = value.value if len(value.value) <= _MOST_CHARACTERS else f"{value.value[:_MOST_CHARACTERS]}…"
    nearest = f"; nearest: {value.nearest}" if value.nearest else ""
    return f"{value.column}: {shown!r} was not in training, or too rare{nearest}"


def _get_column(contract: Contract, name: str) -> Column:
    return next(column for column in contract.features if column.name == name)


def _explain(version: LoadedVersion, references: FloatArray, values: FloatArray) -> Explanation:
    from gamesales.scoring.explain import Explainer  # only an explanation needs it

    return Explainer(version, references).explain(values[0].tolist())


def _check_names(title: Mapping[str, object], contract: Contract) -> None:
    missing = [column.name for column in contract.features if column.name not in title and not column.may_be_missing]
    problems = [f"missing: {', '.join(missing)}"] if missing else []
    unknown = [name for name in title if name not in contract.feature_names]
    problems += [f"unknown: {name}{suggest(name, contract.feature_names)}" for name in unknown]
    if problems:
        raise ColumnsError(
            f"a title has {format_count(len(contract.features), 'feature')}; {'; '.join(problems)}",
            hint=_list_arguments(contract),
        )


def _list_arguments(contract: Contract) -> str:
    """List the features that a title needs, and the features that it may lack."""
    needed = [column.name for column in contract.features if not column.may_be_missing]
    optional = [name for name in contract.feature_names if name not in needed]
    more = f"; these may be left out: {', '.join(optional)}" if optional else ""
    return f"Give each feature once: {' '.join(f'{name}=…' for name in needed)}{more}"
