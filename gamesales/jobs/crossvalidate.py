"""Cross-validate a job: k-fold over one file, plain and grouped, over several seeds. Nothing is registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import LabeledTitles, learn_categories, read_titles
from gamesales.errors import UsageError
from gamesales.scoring.inputs import find_table_file
from gamesales.stats.amounts import InUnit, keeps_unit, set_unit
from gamesales.stats.metrics import HEADINGS, Metrics, compute_metrics, format_metrics
from gamesales.stats.same_features import estimate_pure_error, number_distinct_rows
from gamesales.training.encoding import add_encoder, fit_encoding
from gamesales.training.folds import (
    FOLD_KINDS,
    FoldKind,
    bootstrap_confidence_intervals,
    make_folds,
    measure_folds_mae,
    predict_kfold,
)
from gamesales.training.refits import fit_predictors, plan_folds, require_trained
from gamesales.training.scaling import Scaling, fit_scaler
from gamesales.training.train_job import TrainJob


@dataclass(frozen=True)
class SeedMetrics:
    """The metrics of one seed, which draws the folds and initializes the networks."""

    seed: int
    metrics: Metrics
    folds_mae: list[float]


@dataclass(frozen=True)
class KFoldSummary:
    """K-fold of one kind, with statistics of each metric over the seeds.

    ``intervals`` has the 95% confidence intervals of the mean ``mae`` and ``scaled_mse``, by the bootstrap. Titles with
    the same features are drawn together, and the error of a title is averaged over the seeds.
    """

    kind: FoldKind
    mean: Metrics
    standard_deviation: Metrics
    lowest: Metrics
    highest: Metrics
    intervals: dict[str, list[float]]
    seeds: list[SeedMetrics]


@dataclass(frozen=True)
class CrossValidationResult(InUnit):
    """The result of cross-validation. Scaled metrics are in units of the range of earnings in the whole file.

    ``distinct`` is the number of titles with different features. ``noise_scaled_mse`` is the noise of the earnings of
    titles with the same features. It is None if there are too few of these titles.
    """

    data: str
    data_sha256: str
    rows: int
    distinct: int
    folds: int
    plain: KFoldSummary | None
    grouped: KFoldSummary | None
    noise_scaled_mse: float | None

    def __repr__(self) -> str:
        means = [
            f"{summary.kind} MAE {format_metrics(summary.mean, self)[1]}"
            for summary in (self.plain, self.grouped)
            if summary
        ]
        return f"CrossValidationResult({self.folds} folds of {self.rows:,} titles: {', '.join(means)})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        rows = [
            [summary.kind, f"seed {run.seed}", *format_metrics(run.metrics, self)]
            for summary in (self.plain, self.grouped)
            if summary
            for run in summary.seeds
        ]
        caption = f"{self.folds}-fold cross-validation on {self.rows:,} titles of {self.data}"
        return make_table(caption, ["folds", "seed", *HEADINGS], rows)


@keeps_unit
def crossvalidate(
    job: TrainJob,
    data: str | None = None,
    *,
    folds: int = 5,
    seeds: int = 1,
    kinds: Sequence[FoldKind] = FOLD_KINDS,
    on_stage: Callable[[str], None] = lambda line: None,
) -> CrossValidationResult:
    """Train ``folds`` networks for each seed and each kind of folds.

    Args:
        job: the network, the training and the contract.
        data: the path or URL of the titles. None means the job's ``data.train``.
        folds: the number of folds, 2 or more.
        seeds: the number of seeds, beginning with the job's seed.
        kinds: the kinds of folds.
        on_stage: called with a line of text when the trainings of a seed begin.

    Raises:
        InputError: the titles can't be read, or there are too few titles for the folds.
        UsageError: the number of folds or seeds is too small, or a kind is unknown.
    """
    if folds < 2 or seeds < 1:
        raise UsageError(f"expected 2 or more folds and 1 or more seeds, received {folds:,} and {seeds:,}")
    unknown = [kind for kind in kinds if kind not in FOLD_KINDS]
    if unknown or not kinds:
        raise UsageError(f"expected folds of the kinds {' or '.join(FOLD_KINDS)}, received {kinds!r}")
    source = find_table_file(data or job.data.train)
    contract = learn_categories(source, Contract.from_toml(job.data.contract), job.table_format)
    set_unit(contract.unit)
    titles = read_titles(source, contract, table_format=job.table_format)
    (clusters,) = number_distinct_rows(titles.features)
    for kind in kinds:
        make_folds(titles, kind, folds, job.training.seed)  # fail before a network is trained in vain
    _, scaling = fit_scaler(contract, titles.features, titles.earnings)
    network = add_encoder(job.network, fit_encoding(contract, titles.features))
    summaries: dict[str, KFoldSummary] = {}
    for kind in kinds:
        metrics, errors = [], []
        for seed in range(job.training.seed, job.training.seed + seeds):
            parts = make_folds(titles, kind, folds, seed)
            on_stage(f"{f'seed {seed}, ' if seeds > 1 else ''}{kind} k-fold: training {folds} networks")
            refits = plan_folds(job.with_seed(seed).training, contract, titles, parts)
            networks = require_trained(fit_predictors(network, refits))
            predicted = predict_kfold(networks, titles, parts, kind)
            errors.append(predicted - titles.earnings)
            folds_mae = measure_folds_mae(errors[-1], parts)
            metrics.append(
                SeedMetrics(seed, compute_metrics(titles.earnings, predicted, scaling.target_scale), folds_mae)
            )
        summaries[kind] = _summarize_seeds(kind, titles, clusters, metrics, np.stack(errors), scaling)
    noise = estimate_pure_error(clusters, titles.earnings)
    return CrossValidationResult(
        data=str(titles.path),
        data_sha256=titles.sha256,
        rows=len(titles),
        distinct=int(clusters.max()) + 1,
        folds=folds,
        plain=summaries.get("plain"),
        grouped=summaries.get("grouped"),
        noise_scaled_mse=None if noise is None else noise.value * scaling.target_scale**2,
    )


def _summarize_seeds(
    kind: FoldKind,
    titles: LabeledTitles,
    clusters: IntArray,
    seeds: Sequence[SeedMetrics],
    errors: FloatArray,
    scaling: Scaling,
) -> KFoldSummary:
    """Summarize the seeds. The errors have the shape (seeds, n)."""
    metrics = [seed.metrics for seed in seeds]
    return KFoldSummary(
        kind,
        _aggregate(metrics, lambda values: float(values.mean())),
        _aggregate(metrics, lambda values: float(values.std(ddof=1)) if len(values) > 1 else None),
        _aggregate(metrics, lambda values: float(values.min())),
        _aggregate(metrics, lambda values: float(values.max())),
        bootstrap_confidence_intervals(titles, errors, clusters, scaling),
        list(seeds),
    )


def _aggregate(seeds: Sequence[Metrics], statistic: Callable[[FloatArray], float | None]) -> Metrics:
    """Compute a statistic of each metric over the seeds, None if a seed has no value."""
    aggregated: Metrics = {}
    for name in seeds[0]:
        values = [metrics[name] for metrics in seeds]
        aggregated[name] = None if None in values else statistic(np.array(values, np.float64))
    return aggregated
