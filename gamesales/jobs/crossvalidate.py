"""How good are networks of a job, whatever the seed? K-fold over one file, plain and grouped; nothing is registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import Titles, read_titles
from gamesales.stats import same_features as twins
from gamesales.training import kfold
from gamesales.training.metrics import Metrics, metrics
from gamesales.training.scaling import Scaling, fit_scaler
from gamesales.training.train_job import TrainJob


@dataclass(frozen=True)
class Seeded:
    """The figures of one seed, which draws the folds and starts the networks."""

    seed: int
    metrics: Metrics
    folds_mae: list[float]


@dataclass(frozen=True)
class Crossed:
    """K-fold of one kind over several seeds.

    ``mean``, ``standard_deviation`` (None for one seed), ``lowest`` and ``highest`` are of each figure over the seeds.
    ``intervals`` are 95 % bounds of the mean ``mae`` and ``scaled_mse`` on other titles of the kind: the bootstrap,
    with titles of the same features drawn together and each title's error averaged over the seeds.
    """

    kind: kfold.Kind
    mean: Metrics
    standard_deviation: Metrics
    lowest: Metrics
    highest: Metrics
    intervals: dict[str, list[float]]
    seeds: list[Seeded]


@dataclass(frozen=True)
class CrossValidated:
    """What cross-validation found; ``noise_scaled_mse`` is that of twins' differences: None, where there are too few.

    Scaled figures are in units of the range of earnings in the whole file.
    """

    data: str
    data_sha256: str
    rows: int
    distinct: int
    folds: int
    plain: Crossed | None
    grouped: Crossed | None
    noise_scaled_mse: float | None


def crossvalidate(
    job: TrainJob,
    data: Path | None = None,
    *,
    folds: int = 5,
    seeds: int = 1,
    kinds: Sequence[kfold.Kind] = kfold.KINDS,
    on_stage: Callable[[str], None] = lambda line: None,
) -> CrossValidated:
    """Train ``folds`` networks for each seed and each kind of folds.

    Args:
        job: what to train, how, and by which contract.
        data: the titles; None: those of the job's ``data.train``.
        folds: how many, 2 or more.
        seeds: how many: the job's own, and those that follow.
        kinds: of folds.
        on_stage: called with a line as each training begins.

    Raises: InputError: the titles can't be read, or are too few for so many folds.
    """
    contract = Contract.from_toml(job.data.contract)
    titles = read_titles(data or job.data.train, contract)
    (labels,) = twins.label(titles.features)
    for kind in kinds:
        kfold.cut(titles, kind, folds, job.training.seed)  # told before a network is trained in vain
    _, scaling = fit_scaler(contract.feature_names, contract.target.name, titles.features, titles.earnings)
    crossed: dict[str, Crossed] = {}
    for kind in kinds:
        found, errors = [], []
        for seed in range(job.training.seed, job.training.seed + seeds):
            parts = kfold.cut(titles, kind, folds, seed)
            on_training = _told(on_stage, f"seed {seed}, " if seeds > 1 else "")
            predicted = kfold.predict(_with_seed(job, seed), contract, titles, parts, kind, on_training)
            errors.append(predicted - titles.earnings)
            by_fold = [float(np.abs(errors[-1][part]).mean()) for part in parts]
            found.append(Seeded(seed, metrics(titles.earnings, predicted, scaling), by_fold))
        crossed[kind] = _crossed(kind, titles, labels, found, np.stack(errors), scaling)
    noise = twins.pure_error(labels, titles.earnings)
    return CrossValidated(
        data=str(titles.path),
        data_sha256=titles.sha256,
        rows=len(titles),
        distinct=int(labels.max()) + 1,
        folds=folds,
        plain=crossed.get("plain"),
        grouped=crossed.get("grouped"),
        noise_scaled_mse=None if noise is None else noise.value * float(scaling.scale[-1]) ** 2,
    )


def _with_seed(job: TrainJob, seed: int) -> TrainJob:
    return job.model_copy(update={"training": job.training.model_copy(update={"seed": seed})})


def _told(on_stage: Callable[[str], None], before: str) -> Callable[[str], None]:
    return lambda line: on_stage(f"{before}{line}")


def _crossed(
    kind: kfold.Kind,
    titles: Titles,
    labels: IntArray,
    seeds: Sequence[Seeded],
    errors: FloatArray,
    scaling: Scaling,
) -> Crossed:
    """Sum up the seeds. Args: errors: (seeds, n)."""
    of_seeds = [one.metrics for one in seeds]
    sizes, squared = np.abs(errors), (errors * float(scaling.scale[-1])) ** 2
    return Crossed(
        kind,
        _over(of_seeds, lambda values: float(values.mean())),
        _over(of_seeds, lambda values: float(values.std(ddof=1)) if len(values) > 1 else None),
        _over(of_seeds, lambda values: float(values.min())),
        _over(of_seeds, lambda values: float(values.max())),
        kfold.bounds(titles, sizes.mean(axis=0), squared.mean(axis=0), labels),
        list(seeds),
    )


def _over(seeds: Sequence[Metrics], work_out: Callable[[FloatArray], float | None]) -> Metrics:
    """Work out something of each figure over the seeds; None where a figure is not known."""
    found: Metrics = {}
    for name in seeds[0]:
        values = [one[name] for one in seeds]
        found[name] = None if None in values else work_out(np.array(values, np.float64))
    return found
