"""The five metrics that every table shows: key, heading, text form and which direction is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricName:
    """A metric as tables show it. ``format`` writes a value that is not None, in plain ASCII."""

    heading: str
    format: Callable[[float], str]
    higher_is_better: bool = False


def format_money(amount: float) -> str:
    """Write an amount in whole dollars, such as ``-$1,250``."""
    return f"{'-' if amount < 0 else ''}${abs(amount):,.0f}"


# The key in manifests, evaluations and ``--json`` -> the metric.
METRICS = {
    "scaled_mse": MetricName("scaled MSE", "{:.2e}".format),
    "mae": MetricName("MAE", format_money),
    "rmse": MetricName("RMSE", format_money),
    "r2": MetricName("R2", "{:.4f}".format, higher_is_better=True),
    "mape_percent": MetricName("MAPE", "{:.2f}%".format),
}
HEADINGS = tuple(metric.heading for metric in METRICS.values())


def format_metrics(metrics: Mapping[str, float | None]) -> list[str]:
    """Write metrics in the order of ``METRICS``, and ``-`` for a metric that is missing."""
    values = [(metric, metrics.get(key)) for key, metric in METRICS.items()]
    return ["-" if value is None else metric.format(value) for metric, value in values]
