"""The key numbers of a version's page, and the table that compares its metrics with the baselines."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.report.format import (
    Metrics,
    format_fraction,
    format_money,
    format_percent,
    format_scientific,
    format_signed_money,
    is_finite,
)
from gamesales.report.page import KeyNumber
from gamesales.stats.errors import MIN_TITLES
from gamesales.stats.metric_names import METRICS, MetricName

# 97.5% point of the normal distribution, for a two-sided 95% interval.
_Z = 1.96


def build_key_numbers(
    actual: FloatArray, predicted: FloatArray, mae_interval: Sequence[float] | None = None
) -> list[KeyNumber]:
    """Summarize the errors in four numbers that need no statistics to be understood.

    Args:
        actual: float64 (n,), finite.
        predicted: float64 (n,), finite.
        mae_interval: 95% confidence interval of the average error; None: the normal approximation from these errors.

    Returns:
        Four numbers; none if there are no titles.
    """
    if not actual.size:
        return []
    errors = predicted - actual
    sizes = np.abs(errors)
    half, most = np.quantile(sizes, [0.5, 0.9])
    worst = int(np.argmax(sizes))
    bias = float(errors.mean())
    direction = "too high" if bias > 0 else "too low" if bias < 0 else "neither too high nor too low"
    interval = mae_interval or _approximate_interval(sizes)
    return [
        KeyNumber(
            "Average error",
            format_money(float(sizes.mean())),
            f"95% confidence interval: {format_money(interval[0])} to {format_money(interval[1])}"
            if interval
            else "too few titles for a confidence interval",
        ),
        KeyNumber(
            "90% of errors are within", format_money(float(most)), f"half are within {format_money(float(half))}"
        ),
        KeyNumber(
            "Largest error",
            format_money(float(sizes[worst])),
            f"predicted {format_money(float(predicted[worst]))}, earned {format_money(float(actual[worst]))}",
        ),
        KeyNumber("Bias", format_signed_money(bias), f"predictions are {direction} on average"),
    ]


def _approximate_interval(sizes: FloatArray) -> Sequence[float] | None:
    """Return the 95% confidence interval of the mean by the normal approximation; None: too few titles."""
    if sizes.size < MIN_TITLES:
        return None
    mean, margin = float(sizes.mean()), _Z * float(sizes.std(ddof=1)) / math.sqrt(sizes.size)
    return max(mean - margin, 0.0), mean + margin


@dataclass(frozen=True)
class MetricColumn:
    """A column of the comparison: a metric, its plain-language heading, and how the page writes it."""

    metric: MetricName
    heading: str
    format: Callable[[float | None], str]

    @property
    def name(self) -> str:
        return self.metric.heading.replace("R2", "R²")

    def find_best(self, metrics: Metrics) -> str | None:
        """Return the best value as text; values with the same text are equally good. None: no value is finite."""
        values = [value for model in metrics.values() if is_finite(value := model.get(self.metric.key))]
        if not values:
            return None
        return self.format(max(values) if self.metric.higher_is_better else min(values))


_METRICS = {metric.key: metric for metric in METRICS}
COLUMNS = (
    MetricColumn(_METRICS["mae"], "Average error", format_money),
    MetricColumn(_METRICS["rmse"], "Root mean squared error", format_money),
    MetricColumn(_METRICS["mape_percent"], "Average error in percent", format_percent),
    MetricColumn(_METRICS["r2"], "Variance explained", format_fraction),
    MetricColumn(_METRICS["scaled_mse"], "Training objective", format_scientific),
)


@dataclass(frozen=True)
class MetricCell:
    """A metric as text, and whether no other model has a better value."""

    text: str
    is_best: bool


@dataclass(frozen=True)
class MetricRow:
    """A model's row of the comparison; ``bar_percent`` is its average error in percent of the largest one."""

    model: str
    cells: Sequence[MetricCell]
    bar_percent: float


def build_metric_rows(metrics: Metrics) -> list[MetricRow]:
    """Compare the version with the baselines, and mark the best value of each metric."""
    best = [column.find_best(metrics) for column in COLUMNS]
    largest = max((mae for values in metrics.values() if is_finite(mae := values.get("mae"))), default=0.0)
    return [
        MetricRow(
            model,
            [_build_cell(column, values, text) for column, text in zip(COLUMNS, best, strict=True)],
            _scale_bar(values.get("mae"), largest),
        )
        for model, values in metrics.items()
    ]


def _build_cell(column: MetricColumn, values: Mapping[str, float | None], best: str | None) -> MetricCell:
    text = column.format(values.get(column.metric.key))
    return MetricCell(text, is_best=text == best)


def _scale_bar(mae: float | None, largest: float) -> float:
    return round(100 * mae / largest, 1) if is_finite(mae) and largest > 0 else 0.0
