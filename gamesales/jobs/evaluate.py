"""How far off a version is on titles whose earnings are known: scored, measured, and recorded in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.files import escape_surrogates
from gamesales.data.labeled_titles import Titles, read_titles
from gamesales.data.screen import RejectLimit, told
from gamesales.errors import InputError, IntegrityError
from gamesales.jobs.loading import load_registered
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Version
from gamesales.scoring.scorer import LoadedVersion
from gamesales.stats.bootstrap import mean_percentiles, resamples_of, seed_from
from gamesales.training.metrics import Metrics, metrics
from gamesales.training.scaling import Scaling

# Of 100 such intervals about 95 hold the error on all titles of the kind.
LEVELS = (0.025, 0.975)


@dataclass(frozen=True)
class Evaluated:
    """A version's figures on a file, and the event that tells of them; None: one before it does already."""

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


def evaluate(registry: ModelRegistry, ref: Ref, data: Path, *, reason: str = "") -> Evaluated:
    """Evaluate a version on a CSV or Parquet file with the target's column, and record it.

    Raises: InputError: the file can't be used, or is what the version was trained on.
    """
    version = registry.find(registry.state(), ref)
    loaded = load_registered(registry, version)
    titles = read_titles(data, loaded.contract, RejectLimit())
    manifest = registry.bundle(version).manifest
    if titles.sha256 == trained_on(manifest):
        raise InputError(
            f"{data} is the file that version {version.number} was trained on; expected titles that it never saw",
            hint="Its errors on this file are no evaluation; give another file",
        )
    return record(registry, version, titles, measure(titles, predictions(loaded, titles), scaling_in(manifest)), reason)


def record(
    registry: ModelRegistry,
    version: Version,
    titles: Titles,
    measured: Mapping[str, Any],
    reason: str,
    *,
    dry_run: bool = False,
) -> Evaluated:
    """Record what was measured, unless the log has the same figures on the same file already."""
    key = ("data_sha256", "metrics")
    is_known = any(all(getattr(one, name) == measured[name] for name in key) for one in version.held_out)
    write = not (is_known or dry_run)
    event = registry.record_evaluation(version.number, measured, reason) if write else None
    return Evaluated(
        registry.model,
        version.number,
        first_rejects=list(told(titles.path.name, titles.rejected)),
        recorded=write,
        sequence=event.sequence if event else None,
        **measured,
    )


def measure(titles: Titles, predicted: FloatArray, scaling: Scaling) -> dict[str, Any]:
    """Return what the log keeps of an evaluation.

    Args: predicted: float64 (n,), US dollars, finite.
    """
    error = predicted - titles.earnings
    seed = seed_from(titles.sha256)
    scaled = error * float(scaling.scale[-1])
    return {
        "data": escape_surrogates(str(titles.path)),
        "data_sha256": titles.sha256,
        "rows": len(titles),
        "rejected": len(titles.rejected),
        "metrics": metrics(titles.earnings, predicted, scaling),
        "intervals": {
            "mae": mean_percentiles(np.abs(error), LEVELS, seed),
            "scaled_mse": mean_percentiles(scaled**2, LEVELS, seed),
        },
        "resampling": {"levels": list(LEVELS), "resamples": resamples_of(len(titles)), "seed": seed},
    }


def predictions(version: LoadedVersion, titles: Titles) -> FloatArray:
    """Predict as scoring does: float64 (n,), US dollars.

    Raises: InputError: a prediction is not finite, and so has no error; to leave it out would flatter.
    """
    predicted = version.scorer.score(titles.features)
    infinite = titles.rows[~np.isfinite(predicted)]
    if len(infinite):
        raise InputError(
            f"version {version.number} has no finite prediction for {len(infinite):,} rows of {titles.path}; "
            f"the first is row {infinite[0]}",
            hint="Train again; see which titles these are by: gamesales score",
        )
    return predicted


def scaling_in(manifest: Mapping[str, Any]) -> Scaling:
    """Return how a version scales.

    Raises: IntegrityError: its manifest does not say.
    """
    try:
        return Scaling.from_dict(manifest["scaling"])
    except (LookupError, TypeError, ValueError) as error:
        raise IntegrityError(f"the manifest lacks what an evaluation needs: {error}", hint="Train again") from None


def trained_on(manifest: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of a version's training data; None: its manifest does not say."""
    return data_in(manifest, "train").get("sha256")


def data_in(manifest: Mapping[str, Any], role: str) -> Mapping[str, Any]:
    """Return what a manifest says of the file that a version was trained or tested on; nothing, if it does not."""
    data = manifest.get("data")
    named = data.get(role) if isinstance(data, Mapping) else None
    return named if isinstance(named, Mapping) else {}
