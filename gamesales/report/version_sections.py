"""The sections of a version's page that show its ``evaluation``: tables, plots and sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gamesales.report.format import (
    MISSING,
    format_count,
    format_fraction,
    format_money,
    format_range,
    format_scientific,
    format_signed_money,
    is_finite,
)
from gamesales.report.page import Document, TableRow
from gamesales.report.strips import StripScale, choose_scale
from gamesales.report.version_plots import describe_constant_features, plot_dependences, plot_learning_curve

# Text of a cell, and a note in small type below it.
NotedCell = tuple[str, str]

_CONFIDENCE = "95% confidence interval"


def build_evaluation_section(evaluation: Document, metrics: Document) -> dict[str, Any]:
    """Turn an evaluation into tables, plots and sentences for the templates.

    Args:
        evaluation: the manifest's ``evaluation``.
        metrics: the version's metrics on the test titles.
    """
    importance, curve = evaluation["importance"], evaluation["learning_curve"]
    order = [entry["columns"][0] for entry in importance if len(entry["columns"]) == 1]
    groups, group_scale = _build_group_rows(evaluation["slices"])
    importance_rows, importance_scale = _build_importance_rows(importance)
    return {
        "lead": _describe_lead(evaluation["holdout"]["lead"]),
        "stability": _build_stability_rows(evaluation, metrics),
        "stability_notes": _write_stability_notes(evaluation),
        "learning_curve": plot_learning_curve(curve) if curve else None,
        "groups": groups,
        "group_scale": group_scale,
        "residual_checks": _describe_residuals(evaluation["residuals"]),
        "importance": importance_rows,
        "importance_scale": importance_scale,
        "dependence": plot_dependences(evaluation["dependence"], order),
        "has_categories": any(effect["kind"] == "category" for effect in evaluation["dependence"]),
        "dependence_note": describe_constant_features(evaluation["dependence"]),
        "notes": [notice["text"] for notice in evaluation["notices"] if notice["level"] == "note"],
    }


def _describe_lead(lead: Document) -> str:
    """Compare the average errors of the version and the best baseline, with a confidence interval."""
    change, baseline = lead["error_change"], lead["best_baseline"]
    low, high = change["low"], change["high"]
    if low is None:
        return f"There are too few titles for a confidence interval of the difference from {baseline}."
    if low <= 0 <= high:
        interval = _format_interval(change, format_signed_money)
        return (
            f"Chance may explain the difference from {baseline}: the average error of {baseline} minus the average "
            f"error of this version is {interval} ({_CONFIDENCE})."
        )
    interval, direction = (format_range((low, high)), "lower") if low > 0 else (format_range((-high, -low)), "higher")
    return (
        f"The average error of this version is {interval} {direction} than the average error of {baseline} "
        f"({_CONFIDENCE})."
    )


def _build_stability_rows(evaluation: Document, metrics: Document) -> list[tuple[str, Sequence[NotedCell]]]:
    """Compare the version with other networks of the job, and with the noise that limits every model."""
    holdout = evaluation["holdout"]
    lead = holdout["lead"]
    rows = [
        ("This version, on the test titles", _build_metric_cells(holdout, metrics, lead["mae"], lead["best_baseline"]))
    ]
    for kind, description in (("plain", "random folds"), ("grouped", "titles with equal features in the same fold")):
        kfold = evaluation["kfold"][kind]
        if kfold:
            errors = {name: float(values["mae"]) for name, values in kfold["baselines"].items()}
            best = min(errors, key=lambda name: errors[name])
            cells = _build_metric_cells(kfold, kfold["metrics"], errors[best], best)
            rows.append((f"{kfold['folds']}-fold cross-validation, {kind}: {description}", cells))
    noise = evaluation["noise"]
    if noise:
        scaled = noise["scaled_mse"]
        interval = _format_interval(scaled, format_scientific) if is_finite(scaled["low"]) else ""
        empty = (MISSING, "")
        cells = ((f"{noise['titles']:,}", ""), empty, (format_scientific(scaled["value"]), interval), empty, empty)
        rows.append(("The noise, which no model can predict", cells))
    return rows


def _build_metric_cells(sample: Document, metrics: Document, baseline_mae: float, baseline: str) -> Sequence[NotedCell]:
    """Build the cells of a row of the stability table; ``sample`` holds the number of titles and the intervals."""
    mae, scaled_mse = sample["intervals"]["mae"], sample["intervals"]["scaled_mse"]
    return (
        (f"{sample['rows']:,}", ""),
        (format_money(metrics["mae"]), format_range(mae)),
        (format_scientific(metrics["scaled_mse"]), format_range(scaled_mse, format_scientific)),
        (format_fraction(metrics["r2"]), ""),
        (format_money(baseline_mae), baseline),
    )


def _write_stability_notes(evaluation: Document) -> list[str]:
    notes = []
    seeds = [entry["mae"] for entry in evaluation["seeds"]]
    if seeds:
        notes.append(
            f"Average error of the same network trained from {format_count(len(seeds), 'other seed')}: "
            f"{format_range((min(seeds), max(seeds)))}."
        )
    plain, grouped = evaluation["kfold"]["plain"], evaluation["kfold"]["grouped"]
    for kind, kfold in (("plain", plain), ("grouped", grouped)):
        if kfold:
            errors = kfold["folds_mae"]
            notes.append(f"Average error of single folds, {kind}: {format_range((min(errors), max(errors)))}.")
    if not plain or not grouped:
        notes.append(
            "K-fold cross-validation was skipped, in whole or in part: the job has report.folds = 0, more titles than "
            "report.most_titles, or fewer titles than folds."
        )
    noise = evaluation["noise"]
    if noise:
        notes.append(
            f"Noise: {noise['titles']:,} titles have the same features as another title. Their earnings still differ, "
            f"by {format_money(noise['rmse'])} from their mean (root mean square)."
        )
    return notes


def _build_group_rows(slices: Sequence[Document]) -> tuple[dict[str, list[TableRow]], StripScale]:
    """Build the rows of the groups, by grouping, and the scale of their strips."""
    errors = [group["mae"] for group in slices]
    amounts = [error["value"] for error in errors]
    biases = [group["bias"]["value"] for group in slices]
    scale = _choose_scale(errors)
    groupings: dict[str, list[TableRow]] = {}
    for group in slices:
        mae, relative_error = group["mae"], group["relative_error"]
        cells = (
            format_money(mae["value"], amounts),
            _format_interval(mae),
            format_signed_money(group["bias"]["value"], biases),
            MISSING if relative_error is None else f"{relative_error:.2f}\u00a0×",
            _format_coverage(group["interval_coverage"]),
            f"{group['rows']:,}",
        )
        note = "worse than the others" if group["is_worse"] else ""
        row = TableRow(group["label"], cells, note, scale.draw(**mae), is_marked=group["is_worse"])
        groupings.setdefault(group["grouping"], []).append(row)
    return groupings, scale


def _format_coverage(share: float | None) -> str:
    return f"{100 * share:.1f}%" if is_finite(share) else MISSING


def _build_importance_rows(importance: Sequence[Document]) -> tuple[list[TableRow], StripScale]:
    """Build the rows of the features, and the scale of their strips."""
    changes = [entry["error_change"] for entry in importance]
    amounts = [change["value"] for change in changes]
    scale = _choose_scale(changes)
    rows = [
        TableRow(
            " / ".join(entry["columns"]),
            (format_money(change["value"], amounts), _format_interval(change)),
            strip=scale.draw(**change),
        )
        for entry, change in zip(importance, changes, strict=True)
    ]
    return rows, scale


def _choose_scale(estimates: Sequence[Document]) -> StripScale:
    return choose_scale(estimate[key] for estimate in estimates for key in ("value", "high"))


def _describe_residuals(residuals: Document) -> dict[str, str]:
    bias, order = residuals["bias"], residuals["order"]
    low, high = format_money(residuals["lowest_fifth"]), format_money(residuals["highest_fifth"])
    clear = [
        f"{column['correlated_with']} ({_format_correlation(column)})"
        for column in residuals["columns"]
        if column["is_clear"]
    ]
    has_interval = bias["low"] is not None
    is_biased = has_interval and (bias["low"] > 0 or bias["high"] < 0)
    interval = f" ({_CONFIDENCE}: {_format_interval(bias, format_signed_money)})" if has_interval else ""
    return {
        "Too high or too low (bias)": (
            f"{_answer(is_biased)}: {format_signed_money(bias['value'])} on average{interval}."
        ),
        "Error by size": (
            f"Average error of {low} in the fifth of titles with the lowest predictions, {high} in the fifth with the "
            "highest predictions."
        ),
        "Correlation with a feature": f"Yes: {', '.join(clear)}." if clear else "Not clearly with any feature.",
        "Correlation with the previous row": f"{_answer(order['is_clear'])}: {_format_correlation(order)}.",
    }


def _answer(is_clear: bool) -> str:
    return "Yes" if is_clear else "Not clearly"


def _format_correlation(correlation: Document) -> str:
    return f"{correlation['value']:+.2f}".replace("-", "−")


def _format_interval(estimate: Document, format_value: Callable[[float], str] = format_money) -> str:
    return format_range((estimate["low"], estimate["high"]), format_value)
