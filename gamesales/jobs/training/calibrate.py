"""Prediction intervals of a version in training: how wide they must be, and how many test titles they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from gamesales.data.contract import Contract
from gamesales.jobs.titles import Titles
from gamesales.jobs.training.learning import learner
from gamesales.jobs.training.train_job import TrainJob
from gamesales.model import calibration, folds
from gamesales.model.accuracy import wilson
from gamesales.scoring.intervals import Interval

# Bounds are rounded to whole dollars where the narrowest interval reaches at least this far to either side.
_REACH_FOR_WHOLE_DOLLARS = 100.0


@dataclass(frozen=True)
class Calibrated:
    """A version's intervals, and how many titles they were calibrated on, by which method.

    ``out_of_fold`` float64 (rows,) are the predictions that were found by ``cv``, US dollars; None by another method.
    """

    method: Literal["cv", "split"]
    rows: int
    interval: Interval
    out_of_fold: folds.FloatArray | None = None

    def as_dict(self, test: Titles, predicted: folds.FloatArray) -> dict[str, Any]:
        """Return what the manifest keeps: the numbers, and what they achieve on titles that nothing was fitted to.

        Args: test: the held-back titles; predicted: (n,), what the version says of them, US dollars.
        """
        low, high = self.interval.bounds(predicted)
        held = int(np.count_nonzero(self.interval.holds(predicted, test.earnings_usd)))
        share = held / len(test)
        least, most = wilson(share, len(test))
        return {
            **asdict(self.interval),
            "method": self.method,
            "rows": self.rows,
            "achieved": {"rows": len(test), "share": share, "low": least, "high": most},
            "median_width_usd": float(np.median(high - low)),
        }


def divide(job: TrainJob, past: Titles) -> tuple[Titles, Titles]:
    """Return the titles that the network learns from, and those set aside to calibrate on: none but for a split.

    Raises: InputError: there are too few for the job's intervals; better told now than after training.
    """
    spec, rows, seed = job.intervals, len(past), job.training.seed
    method = spec.method_for(rows)
    if method == "split":
        learnt, aside = calibration.set_aside(rows, spec.calibration_share, seed)
        calibration.rank(len(aside), spec.coverage)
        return past.take(learnt), past.take(aside)
    if method == "cv":
        folds.cut(rows, spec.folds, seed)
        calibration.rank(rows, spec.coverage)
    return past, past.take(np.empty(0, np.int64))


def calibrate(
    job: TrainJob,
    contract: Contract,
    learnt: Titles,
    aside: Titles,
    predict: folds.Predict,
    on_stage: Callable[[str], None],
) -> Calibrated | None:
    """Find how wide the intervals of a network that is trained must be; None if the job wants none.

    Args:
        job: how.
        contract: of the titles.
        learnt: what the network learnt from.
        aside: what it did not learn from, if that is the method.
        predict: the network's predictions, (n, k) to (n,), US dollars.
        on_stage: called with a line as each further training begins.
    """
    spec = job.intervals
    method = spec.method_for(len(learnt) + len(aside))
    if method == "none":
        return None
    if method == "split":
        titles, predicted = aside, predict(aside.features)
        scale = calibration.fit_scale(predict(learnt.features), learnt.earnings_usd)
    else:
        titles = learnt
        predicted = folds.out_of_fold(
            learner(job, contract),
            titles.features,
            titles.earnings_usd,
            folds.cut(len(titles), spec.folds, job.training.seed),
            lambda number: on_stage(f"calibrating prediction intervals: training {number} of {spec.folds}"),
        )
        scale = calibration.fit_scale(predicted, titles.earnings_usd)
    found = calibration.scores(predicted, titles.earnings_usd, *scale)
    quantile = calibration.conformal_quantile(found, spec.coverage)
    whole = quantile * scale[0] >= _REACH_FOR_WHOLE_DOLLARS
    interval = Interval(spec.coverage, *scale, quantile, whole)
    return Calibrated(method, len(titles), interval, predicted if method == "cv" else None)


def in_words(interval: Mapping[str, Any]) -> str:
    """Tell what a manifest's intervals promise and achieve, in a line."""
    achieved = interval["achieved"]
    return (
        f"for {100 * interval['coverage']:g} % of titles hold {100 * achieved['share']:.1f} % of the "
        f"{achieved['rows']:,} test titles (of all, {100 * achieved['low']:.1f} to {100 * achieved['high']:.1f} %); "
        f"median width ${interval['median_width_usd']:,.0f}"
    )


def warnings(interval: Mapping[str, Any] | None) -> list[str]:
    """Tell what to look into before promoting: intervals that hold fewer test titles than chance explains."""
    if interval is None or interval["achieved"]["high"] >= interval["coverage"]:
        return []
    return [f"Prediction intervals hold too few: those {in_words(interval)}. Are these titles like those of training?"]
