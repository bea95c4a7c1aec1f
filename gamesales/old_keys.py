"""JSON keys that were renamed before 1.0.

Documents carry the old spelling beside the new one until 1.0, so that people's scripts keep working. Old documents
are read forever.
"""

from __future__ import annotations

from typing import Any

# New spelling to old spelling.
OLD_KEYS = {
    "best_baseline": "over",
    "bias": "bias_usd",
    "bias_high": "bias_high_usd",
    "bias_low": "bias_low_usd",
    "correlated_with": "of",
    "difference_high": "high_usd",
    "difference_low": "low_usd",
    "duplicate_ids": "doubled_ids",
    "duplicate_titles": "titles_doubled",
    "error_change": "usd",
    "error_metrics": "figures",
    "expected_predictions": "earnings_usd",
    "floor": "floor_usd",
    "folds_mae": "folds_mae_usd",
    "grouping": "family",
    "highest_fifth": "highest_fifth_usd",
    "interval_coverage": "held",
    "is_met": "holds",
    "largest_difference": "largest_difference_usd",
    "last_doubling": "last_doubling_usd",
    "lowest_fifth": "lowest_fifth_usd",
    "mae": "mae_usd",
    "mae_high": "mae_high_usd",
    "mae_inside": "mae_inside_usd",
    "mae_low": "mae_low_usd",
    "mae_outside": "mae_outside_usd",
    "mean_absolute_difference": "mean_absolute_difference_usd",
    "mean_difference": "mean_difference_usd",
    "median_width": "median_width_usd",
    "metrics_by_file": "figures",
    "observation": "found",
    "parity_difference": "parity_usd",
    "passing_error": "passes_at",
    "passthrough_columns": "kept",
    "prediction_bounds": "bounds_usd",
    "prediction_high": "high_usd",
    "prediction_low": "low_usd",
    "prediction_mean": "mean_usd",
    "prediction_tolerance": "tolerance_usd",
    "relative_error": "times",
    "rmse": "rmse_usd",
    "skipped_actuals": "actuals_left_out",
    "skipped_dates": "dates_left_out",
    "value_after": "after_usd",
    "value_before": "before_usd",
    "value_difference": "difference_usd",
    "variance": "variance_usd2",
    "whole_units": "whole_dollars",
}
# No document with these keys is read, and their old spelling also has another meaning.
_ONLY_WRITTEN = ("error_metrics", "metrics_by_file", "passthrough_columns")
_NEW_KEYS = {old: new for new, old in OLD_KEYS.items() if new not in _ONLY_WRITTEN}
# Some old spellings stand for several new ones, in different documents.
_SPELLINGS = {old: [new for new, other in OLD_KEYS.items() if other == old] for old in OLD_KEYS.values()}
# What a person wrote: these parts of a document keep their keys.
_FOREIGN = ("contract", "network", "training")
# Most parts of a document are numbers and texts, which have no keys.
_CONTAINERS = (dict, list)


def add_old_keys(document: Any) -> Any:
    """Return a JSON document with the old spelling beside each new key, at any depth."""
    if isinstance(document, dict):
        added = {}
        for key, value in document.items():
            added[key] = value if key in _FOREIGN else add_old_keys(value)
            if key in OLD_KEYS:
                added[OLD_KEYS[key]] = added[key]
        return added
    return [add_old_keys(part) for part in document] if isinstance(document, (list, tuple)) else document


def drop_old_keys(document: Any) -> Any:
    """Return a JSON document with new keys only, whichever release wrote it. The inverse of ``add_old_keys``."""
    if isinstance(document, dict):
        current = {}
        for key, value in document.items():
            new = key
            if key in _SPELLINGS:
                if any(map(document.__contains__, _SPELLINGS[key])):
                    continue  # a new one replaces it
                new = _NEW_KEYS.get(key, key)
            is_plain = new in _FOREIGN or not isinstance(value, _CONTAINERS)
            current[new] = value if is_plain else drop_old_keys(value)
        return current
    if isinstance(document, list) and any(isinstance(part, _CONTAINERS) for part in document):
        return [drop_old_keys(part) for part in document]
    return document
