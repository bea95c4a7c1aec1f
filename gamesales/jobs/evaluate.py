"""Evaluate a version on a file of titles with known earnings, and record the metrics in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.dialect import TableFormat
from gamesales.data.labeled_titles import LabeledTitles, read_titles
from gamesales.data.screen import RejectLimit, format_rejects
from gamesales.errors import InputError, IntegrityError
from gamesales.jobs.loading import load_registered
from gamesales.registry.bundle import Bundle, find_data
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Version
from gamesales.report.format import format_count
from gamesales.scoring.inputs import find_table_file
from gamesales.scoring.scorer import LoadedVersion
from gamesales.stats.amounts import InUnit, keeps_unit, set_unit
from gamesales.stats.metrics import HEADINGS, Metrics, format_metrics
from gamesales.training.evaluation import evaluate_predictions
from gamesales.training.scaling import Scaling


@dataclass(frozen=True)
class EvaluationResult(InUnit):
    """The metrics of a version on a file.

    ``intervals`` holds the 95% confidence interval of a metric. ``sequence`` is the event that records the metrics.
    It is None if no event was written, because an earlier event records the same metrics or because of a dry run.
    """

    model: str
    version: int
    data: str
    data_sha256: str
    rows: int
    rejected: int
    first_rejects: list[str]
    metrics: Metrics
    intervals: dict[str, list[float]]
    resampling: dict[str, Any]
    recorded: bool
    sequence: int | None

    def __repr__(self) -> str:
        _, mae, *_ = format_metrics(self.metrics, self)
        rows = format_count(self.rows, "row")
        return f"EvaluationResult(version {self.version} of {self.model}: MAE {mae} on {rows} of {self.data})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        rows = [[f"version {self.version}", *format_metrics(self.metrics, self)]]
        caption = f"metrics on {self.data}, {format_count(self.rows, 'row')}"
        return make_table(caption, ["", *HEADINGS], rows)


@keeps_unit
def evaluate(registry: ModelRegistry, ref: Ref, data: str, *, reason: str = "") -> EvaluationResult:
    """Evaluate a version on a CSV or Parquet file of titles with the target column, and record the metrics.

    The file, at a path or URL, is in the format of the files that the version was trained on.

    Raises:
        InputError: the file can't be used, or the version was trained on it.
    """
    version = registry.find(registry.read_state(), ref)
    loaded = load_registered(registry, version)
    set_unit(loaded.contract.unit)
    bundle = registry.open_bundle(version)
    table_format = read_table_format(find_data(bundle.manifest, "train"))
    titles = read_titles(find_table_file(data), loaded.contract, RejectLimit(), table_format)
    if titles.sha256 == training_digest(bundle.manifest):
        raise InputError(
            f"{data} is the file that version {version.number} was trained on; expected titles that it never saw",
            hint="Errors on training data are too small. Give another file: --data FILE",
        )
    scaling, unit = read_scaling(bundle), loaded.contract.unit
    measured = evaluate_predictions(titles, predict_labeled(loaded, titles), scaling, unit)
    return record_once(registry, version, titles, measured, reason)


def predict_labeled(version: LoadedVersion, titles: LabeledTitles) -> FloatArray:
    """Predict the earnings of titles, as scoring does.

    Returns:
        float64 (n,), in the target's unit.

    Raises:
        InputError: a prediction is not finite. Leaving the row out would make the metrics look better than they are.
    """
    predicted = version.scorer.score(titles.features)
    infinite = titles.rows[~np.isfinite(predicted)]
    if len(infinite):
        raise InputError(
            f"version {version.number} has no finite prediction for "
            f"{format_count(len(infinite), 'row')} of {titles.path}; the first is row {infinite[0]}",
            hint="Train again. To list these titles, score the file: gamesales score",
        )
    clipped, _ = version.clip(predicted)
    return clipped


def record_once(
    registry: ModelRegistry,
    version: Version,
    titles: LabeledTitles,
    measured: Mapping[str, Any],
    reason: str,
    *,
    dry_run: bool = False,
) -> EvaluationResult:
    """Record what ``evaluate_predictions`` measured, unless the log has the same metrics on the same file."""
    write = not (dry_run or version.has_evaluation(measured))
    event = registry.record_evaluation(version.number, measured, reason) if write else None
    return EvaluationResult(
        registry.model,
        version.number,
        first_rejects=list(format_rejects(titles.path.name, titles.rejected)),
        recorded=write,
        sequence=event.sequence if event else None,
        **{key: value for key, value in measured.items() if key != "unit"},
    )


def read_scaling(bundle: Bundle) -> Scaling:
    """Read the scaling from a checked manifest. ``scaler.joblib`` is a pickle and is never loaded.

    Raises:
        IntegrityError: the manifest has no usable scaling.
    """
    try:
        return Scaling.from_dict(bundle.manifest["scaling"])
    except (LookupError, TypeError, ValueError) as error:
        raise IntegrityError(f"{bundle.location} has no usable scaling: {error}", hint="Train again") from None


def training_digest(manifest: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of a version's training data, or None if the manifest has none."""
    return find_data(manifest, "train").get("sha256")


def read_table_format(entry: Mapping[str, Any]) -> TableFormat:
    """Return the format of a file by its entry in a manifest.

    Raises:
        IntegrityError: the manifest has no usable format.
    """
    try:
        return TableFormat.from_description(entry)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"the manifest has no usable format of its data: {error}", hint="Train again") from None
