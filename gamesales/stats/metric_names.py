"""The five metrics that every table shows: key, heading, text form and which direction is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricName:
    """A metric as tables show it.

    Attributes:
        key: The key in manifests, evaluations and ``--json``.
        heading: The column heading.
        format: Writes a value that is not None. Texts are plain ASCII.
        higher_is_better: Whether a larger value is better.
    """

    key: str
    heading: str
    format: Callable[[float], str]
    higher_is_better: bool = False


def format_money(amount: float) -> str:
    """Write an amount in whole dollars, such as ``-$1,250``."""
    return f"{'-' if amount < 0 else ''}${abs(amount):,.0f}"


METRICS = (
    MetricName("scaled_mse", "scaled MSE", "{:.2e}".format),
    MetricName("mae", "MAE", format_money),
    MetricName("rmse", "RMSE", format_money),
    MetricName("r2", "R2", "{:.4f}".format, higher_is_better=True),
    MetricName("mape_percent", "MAPE", "{:.2f}%".format),
)
HEADINGS = tuple(metric.heading for metric in METRICS)


def format_metrics(metrics: Mapping[str, float | None]) -> list[str]:
    """Write metrics in the order of ``METRICS``, and ``-`` for a metric that is missing."""
    values = [(metric, metrics.get(metric.key)) for metric in METRICS]
    return ["-" if value is None else metric.format(value) for metric, value in values]
