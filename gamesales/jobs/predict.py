"""One title, answered in dollars."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from gamesales.data.arrow import text_column
from gamesales.data.contract import Contract
from gamesales.data.table import Batch
from gamesales.errors import ColumnsError, InputError, UsageError
from gamesales.jobs.loading import load
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.scoring.predict import predict_titles


@dataclass(frozen=True)
class Prediction:
    """What one title will earn, US dollars.

    ``coverage`` is the share of titles that intervals from low to high are to hold; these three are None where the
    version gives no intervals.
    """

    model: str
    model_version: int
    predicted_earnings: float
    predicted_earnings_low: float | None
    predicted_earnings_high: float | None
    coverage: float | None
    outside_training_range: bool


def parse_title(assignments: Sequence[str]) -> dict[str, str]:
    """Read ``critic_rating=4.5 is_action=1 …``."""
    title: dict[str, str] = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or name in title:
            problem = "given twice" if separator else "no name=value"
            raise UsageError(f"{assignment!r} is {problem}; expected, for example, critic_rating=4.5")
        title[name] = value
    return title


def predict(registry: ModelRegistry, ref: Ref, title: Mapping[str, str]) -> Prediction:
    """Predict the earnings of one title.

    Raises: ColumnsError: characteristics are missing or misspelt; each is named. InputError: a value breaks the
        contract.
    """
    version = load(registry, ref)
    _check_names(title, version.contract)
    names = list(version.contract.feature_names)
    table = pa.RecordBatch.from_arrays([text_column([title[name]]) for name in names], names=names)
    predicted = predict_titles(Batch(table, np.ones(1, np.int64)), version)
    if predicted.screened.rejected:
        reason = predicted.screened.rejected[0].reason
        raise InputError(f"this title can't be scored: {reason}", hint="See docs/contract.md")
    low, high = (float(bound[0]) for bound in predicted.bounds) if predicted.bounds else (None, None)
    return Prediction(
        model=version.model,
        model_version=version.number,
        predicted_earnings=float(predicted.earnings[0]),
        predicted_earnings_low=low,
        predicted_earnings_high=high,
        coverage=version.interval.coverage if version.interval else None,
        outside_training_range=bool(predicted.outside[0]),
    )


def _check_names(title: Mapping[str, str], contract: Contract) -> None:
    missing = [name for name in contract.feature_names if name not in title]
    faults = [f"missing: {', '.join(missing)}"] if missing else []
    for name in title:
        if name not in contract.feature_names:
            near = difflib.get_close_matches(name, contract.feature_names, n=1)
            faults.append(f"unknown: {name}" + (f" (did you mean {near[0]}?)" if near else ""))
    if faults:
        raise ColumnsError(
            f"a title has {len(contract.features)} characteristics; {'; '.join(faults)}",
            hint=f"Give each once: {' '.join(f'{name}=…' for name in contract.feature_names)}",
        )
