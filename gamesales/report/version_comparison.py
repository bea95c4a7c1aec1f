"""The comparison of a version with the champion and the baselines: cards, and a table of metrics with strips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gamesales.report.format import (
    MISSING,
    format_fraction,
    format_money,
    format_percent,
    format_range,
    format_scientific,
    format_signed_money,
    is_finite,
)
from gamesales.report.headline import Metrics, label_champion
from gamesales.report.page import Document, KeyNumber
from gamesales.report.strips import Strip, StripScale, choose_scale
from gamesales.stats.metrics import METRICS

# The metrics of the comparison, with a plain-language heading.
_COLUMNS = {
    "mae": "Average error",
    "rmse": "Root mean squared error",
    "mape_percent": "Average error in percent",
    "r2": "Variance explained",
    "scaled_mse": "Training objective",
}
# Models with a larger average error are beyond the scale, so that the version and its rivals have different places.
_MOST_TIMES = 3.0


@dataclass(frozen=True)
class MetricRow:
    """The metrics of a version, the champion or a baseline. A cell is a text, and whether no model is better."""

    label: str
    interval: str
    strip: Strip | None
    cells: Sequence[tuple[str, bool]]


def list_metric_headings() -> list[tuple[str, str]]:
    """List the plain-language heading and the standard term of each metric."""
    return [(heading, METRICS[key].heading.replace("R2", "R²")) for key, heading in _COLUMNS.items()]


def add_champion(metrics: Metrics, gate: Document | None) -> Metrics:
    """Return the metrics of the version, of the champion and of the baselines, in this order."""
    if not gate or gate["champion"] is None or gate["metrics"] is None:
        return metrics
    (name, version), *baselines = metrics.items()
    return {name: version, label_champion(gate): gate["metrics"], **dict(baselines)}


def build_metric_rows(metrics: Metrics, intervals: Mapping[str, Sequence[float]]) -> tuple[list[MetricRow], StripScale]:
    """Build the table of metrics, and the scale of its strips, which show the average error.

    Args:
        metrics: of each model.
        intervals: the 95% confidence interval of the average error, for the models that have one.
    """
    errors = {model: values.get("mae") for model, values in metrics.items()}
    smallest = min(filter(is_finite, errors.values()), default=0.0)
    near = [error for error in errors.values() if is_finite(error) and error <= _MOST_TIMES * smallest]
    scale = choose_scale([*near, *(bound for bounds in intervals.values() for bound in bounds)])
    columns = {key: [values.get(key) for values in metrics.values()] for key in _COLUMNS}
    writers = {key: _choose_writer(key, values) for key, values in columns.items()}
    best = {key: _find_best(key, values, writers[key]) for key, values in columns.items()}
    rows = []
    for model, values in metrics.items():
        interval = intervals.get(model, ())
        texts = {key: writers[key](values.get(key)) for key in _COLUMNS}
        rows.append(
            MetricRow(
                label=model,
                interval=format_range(interval) if interval else "",
                strip=scale.draw(errors[model], *interval),
                cells=[(text, text == best[key]) for key, text in texts.items()],
            )
        )
    return rows, scale


def _choose_writer(key: str, values: Sequence[float | None]) -> Callable[[float | None], str]:
    """Return how the values of a metric are written: all of them with the same precision."""
    if key in ("mae", "rmse"):
        return lambda value: format_money(value, values)
    if key == "mape_percent":
        return lambda value: format_percent(value, values)
    return format_fraction if key == "r2" else format_scientific


def _find_best(key: str, values: Sequence[float | None], write: Callable[[float | None], str]) -> str | None:
    finite = [value for value in values if is_finite(value)]
    if not finite:
        return None
    return write(max(finite) if METRICS[key].higher_is_better else min(finite))


def build_champion_cards(
    version: int, gate: Document | None, intervals: Mapping[str, Sequence[float]]
) -> list[KeyNumber]:
    """Compare the average errors of the version and the champion in cards; none if they were not compared."""
    comparison = gate["comparison"] if gate else None
    if not gate or comparison is None:
        return []
    label, confidence = label_champion(gate), f"{100 * comparison['confidence']:g}% confidence"
    difference, bound, limit = comparison["difference"], comparison["bound"], comparison["limit"]
    errors = comparison["candidate_mae"], comparison["champion_mae"]
    return [
        (f"Version {version}", format_money(errors[0], errors), _describe_interval(intervals.get("this version"))),
        (label.capitalize(), format_money(errors[1], errors), _describe_interval(intervals.get(label))),
        (
            "Difference",
            format_signed_money(difference, (bound, limit)),
            f"at most {format_signed_money(bound, (difference, limit))} with {confidence}",
        ),
        (
            "The gate",
            "refuses" if gate["refusal"] else "passes",
            f"it allows at most {format_signed_money(limit, (difference, bound))}",
        ),
    ]


def _describe_interval(interval: Sequence[float] | None) -> str:
    text = format_range(interval or ())
    return "" if text == MISSING else f"95% confidence interval: {text}"
