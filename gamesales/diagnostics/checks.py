"""What is wrong with titles, or with dividing them into training and test, told in sentences with what to do about it.

A warning is what makes the figures untrue or the version unfit; a note is good to know. Both must be rare: who cries
wolf is not heard. So each has a threshold of size beside one of chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.diagnostics.groups import Slice
from gamesales.diagnostics.residuals import Correlation
from gamesales.stats import clustered as means
from gamesales.stats.same_features import Noise
from gamesales.training.metrics import column_profile

# Titles to learn from for each column, and titles to test on, below which figures are more chance than fact.
_FEWEST_EACH = 10
_FEWEST_TESTED = 50
# The share of the earnings' order that one column alone explains, from which it is no cause but a copy of them.
_LEAK = 0.98
_LEAK_BINS, _LEAK_ROWS_A_BIN = 100, 5
# Twins whose earnings differ by so many times what is usual between twins.
_CONFLICT = 12.0
# The population stability index that is customary as "some" and "much", and how often chance alone may say so.
_SHIFT_SOME, _SHIFT_MUCH, _SHIFT_DOUBT = 0.1, 0.25, 0.001


@dataclass(frozen=True)
class Notice:
    """One thing to know: ``about`` names it for programs."""

    level: Literal["warning", "note"]
    about: str
    text: str


@dataclass(frozen=True)
class Sample:
    """Some titles: ``features`` (n, k), ``earnings`` (n,), ``labels`` int64 (n,), alike for twins; row numbers."""

    features: FloatArray
    earnings: FloatArray
    labels: IntArray
    rows: IntArray

    def every(self, step: int) -> Sample:
        """Return one of so many titles."""
        return Sample(self.features[::step], self.earnings[::step], self.labels[::step], self.rows[::step])


def notices(contract: Contract, past: Sample, test: Sample) -> list[Notice]:
    """Look for all that can be known of the titles without a model."""
    return [
        *_tiny(contract, past, test),
        *_constant(contract, past, test),
        *_leaks(contract, past),
        *_conflicts(past),
        *_outside(contract, past, test),
        *_shifted(contract, past, test),
    ]


def _tiny(contract: Contract, past: Sample, test: Sample) -> Iterator[Notice]:
    learnt, tested, columns = len(past.rows), len(test.rows), len(contract.features)
    if learnt < _FEWEST_EACH * columns:
        yield Notice(
            "warning",
            "tiny training",
            f"Only {learnt:,} titles to learn {columns} columns from: another draw would make another version. "
            f"Collect {_FEWEST_EACH * columns} or more.",
        )
    if tested < _FEWEST_TESTED:
        yield Notice(
            "warning",
            "tiny test",
            f"Only {tested:,} titles to test on: the figures on this page are largely chance. "
            f"Hold back {_FEWEST_TESTED} or more.",
        )


def _constant(contract: Contract, past: Sample, test: Sample) -> Iterator[Notice]:
    for place, column in enumerate(contract.features):
        learnt, tested = (np.unique(sample.features[:, place]) for sample in (past, test))
        if len(learnt) == 1:
            yield Notice(
                "warning",
                "constant column",
                f"{column.name} is {learnt[0]:g} in every training title, so nothing was learnt from it. "
                "Predictions for titles with another value are guesses.",
            )
        elif len(tested) == 1 and len(test.rows) >= _FEWEST_TESTED:
            yield Notice(
                "note",
                "constant in test",
                f"{column.name} is {tested[0]:g} in every test title; how good others are predicted is not known.",
            )


def _leaks(contract: Contract, past: Sample) -> Iterator[Notice]:
    for place, column in enumerate(contract.features):
        share = order_explained(past.features[:, place], past.earnings)
        if share >= _LEAK:
            yield Notice(
                "warning",
                "leak",
                f"{column.name} alone tells {100 * share:.1f} % of the order of earnings: is it made from what a title "
                "earned, and not known before? If so, take it out of the contract and train again.",
            )


def order_explained(values: FloatArray, earnings: FloatArray) -> float:
    """Return the share of the variance of the earnings' ranks that a column explains in bins, adjusted for those.

    Args: values, earnings: (n,).  Returns: 1 where earnings are a function of the column; about 0 for noise.
    """
    rows = len(values)
    distinct, bins = np.unique(values, return_inverse=True)
    most = min(_LEAK_BINS, rows // _LEAK_ROWS_A_BIN)
    if len(distinct) > most:
        bins = np.empty(rows, np.int64)
        bins[np.argsort(values, kind="stable")] = np.arange(rows) * max(most, 1) // rows
    bins = bins.reshape(-1)
    used = int(np.count_nonzero(np.bincount(bins)))
    rank = np.unique(earnings, return_inverse=True)[1].reshape(-1).astype(np.float64)
    total = float(((rank - rank.mean()) ** 2).sum())
    if not total or used >= rows - 1:
        return 0.0
    count = np.maximum(np.bincount(bins), 1)
    inside = float(((rank - (np.bincount(bins, rank) / count)[bins]) ** 2).sum())
    return 1 - inside / (rows - used) / (total / (rows - 1))


def _conflicts(past: Sample) -> Iterator[Notice]:
    """Look for titles that earn far from their twins: a slip of the decimal point, say."""
    order = np.lexsort((past.earnings, past.labels))
    labels, earned = past.labels[order], past.earnings[order]
    first = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    size = np.diff(np.r_[first, len(labels)])
    middle = (earned[first + (size - 1) // 2] + earned[first + size // 2]) / 2
    with_twin = np.repeat(size > 1, size)
    centre = np.repeat(middle, size)
    apart = np.abs(earned - centre)[with_twin] / np.maximum(np.abs(centre[with_twin]), 1.0)
    usual = float(np.median(apart)) if len(apart) >= _FEWEST_TESTED else 0.0
    far = apart > _CONFLICT * max(usual, 1e-3)
    if usual and far.any():
        row = int(past.rows[order][with_twin][np.argmax(apart)])
        yield Notice(
            "warning",
            "conflicting earnings",
            f"{int(far.sum()):,} of the training titles earn far from what titles with the same features earn, "
            f"row {row:,} the furthest: mend a slip of the pen, or add the column that tells them apart.",
        )


def _outside(contract: Contract, past: Sample, test: Sample) -> Iterator[Notice]:
    low, high = past.features.min(axis=0), past.features.max(axis=0)
    beyond = (test.features < low) | (test.features > high)
    if not beyond.any():
        return
    most = ", ".join(
        f"{column.name} ({int(rows):,})"
        for column, rows in zip(contract.features, beyond.sum(axis=0), strict=True)
        if rows
    )
    yield Notice(
        "note",
        "outside of training",
        f"{int(beyond.any(axis=1).sum()):,} test titles lie outside of what training saw: {most}.",
    )


def _shifted(contract: Contract, past: Sample, test: Sample) -> Iterator[Notice]:
    columns = [*past.features.T, past.earnings], [*test.features.T, test.earnings]
    names = [*contract.feature_names, contract.target.name]
    found = [(name, *shift(*both)) for name, *both in zip(names, *columns, strict=True)]
    clear = [(name, index) for name, index, p in found if index >= _SHIFT_SOME and p < _SHIFT_DOUBT / len(names)]
    if clear:
        much = max(index for _, index in clear) >= _SHIFT_MUCH
        told = ", ".join(f"{name} ({index:.2f})" for name, index in clear)
        yield Notice(
            "warning" if much else "note",
            "drawn differently",
            f"Training and test titles were not drawn alike: they differ in {told}, by the population stability index. "
            "The errors hold for titles like those of the test; draw it as the titles to come will be.",
        )


def shift(past: FloatArray, test: FloatArray) -> tuple[float, float]:
    """Compare how a column lies in two samples.

    Args: past: (n,); test: (m,).
    Returns: the population stability index over the deciles of the first, and how often chance alone gives such a
        difference, by the chi-squared test of two samples.
    """
    from scipy import special

    profile = column_profile("", past)
    bins = len(profile["counts"])
    if bins < 2:
        return 0.0, 1.0
    before = np.array(profile["counts"], np.float64)
    after = np.bincount(np.searchsorted(profile["edges"], test, side="right"), minlength=bins).astype(np.float64)
    # Half a title more in each bin, so that an empty one has a logarithm.
    shares = [(rows + 0.5) / (rows.sum() + bins / 2) for rows in (before, after)]
    index = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    both = before + after
    statistic = sum(
        float(((rows - both * rows.sum() / both.sum()) ** 2 / (both * rows.sum() / both.sum())).sum())
        for rows in (before, after)
    )
    return index, float(special.chdtrc(bins - 1, statistic))


# So many times as far off, a part of the titles is a warning, not a note.
_MUCH_WORSE = 2.0
# With like titles kept together, errors may be so many times as large before it is worth a note, and a warning.
_APART, _FAR_APART = 1.2, 1.5
# The seed is called lucky if the error is below this share of the lowest from another seed.
_LUCKY = 0.9
# Beyond so many times the noise, less than a half of the squared error is noise.
_MOSTLY_FIT, _FIT_DOUBT = 2.0, 0.001
# A weaker correlation with the row before is not worth a word.
_IN_ORDER = 0.2


def about_slices(slices: Sequence[Slice]) -> Iterator[Notice]:
    """Name the parts of the titles that predictions are clearly worse for than their size explains."""
    for one in slices:
        if one.is_worse and one.times is not None:
            yield Notice(
                "warning" if one.times >= _MUCH_WORSE else "note",
                "worse slice",
                f"{one.family} {one.label}: {one.times:.1f} times as far off as other titles of that size "
                f"(${one.mae.value:,.0f} on average, {one.rows:,} titles). "
                "Collect more such titles, or look for a column that explains them.",
            )


def about_folds(plain: FloatArray | None, grouped: FloatArray | None, labels: IntArray) -> Iterator[Notice]:
    """Compare errors with and without titles of the same features among those learnt from.

    Args: plain, grouped: the sizes of out-of-fold errors, US dollars, (n,) each; None: not known; labels: int64 (n,),
        alike for twins.
    """
    if plain is None or grouped is None or not plain.any():
        return
    times = float(grouped.mean() / plain.mean())
    more = means.mean(grouped - plain, labels)
    if times >= _APART and more.low is not None and more.low > 0:
        yield Notice(
            "warning" if times >= _FAR_APART else "note",
            "grouped folds",
            f"Titles unlike any that was learnt from are predicted {times:.1f} times as far off "
            f"(${grouped.mean():,.0f} instead of ${plain.mean():,.0f}): the test flatters where its titles resemble "
            "those of training. "
            "Expect the larger error for new kinds of titles.",
        )


def about_seeds(own: float, others: Sequence[float]) -> Iterator[Notice]:
    """Compare a version's average error with those of the same network from other seeds."""
    if others and own < _LUCKY * min(others):
        yield Notice(
            "note",
            "lucky seed",
            f"This seed was lucky: the same network from {len(others)} other seeds is off by "
            f"${min(others):,.0f} to ${max(others):,.0f} on average. "
            "Do not expect the next training to be as good.",
        )


def about_order(order: Correlation) -> Iterator[Notice]:
    """Tell that errors go with those of the row before."""
    if order.is_clear and abs(order.value) >= _IN_ORDER:
        yield Notice(
            "note",
            "order",
            f"Errors resemble those of the row before (correlation {order.value:.2f}): is the file in an order that "
            "matters, such as by date? A column may be missing.",
        )


def about_fit(errors: FloatArray, noise: Noise | None) -> Iterator[Notice]:
    """Tell that errors are mostly no noise. Args: errors: (m,); noise: None where it is not known."""
    if noise is None or noise.p is None or noise.variance.value <= 0:
        return
    times = float((errors**2).mean()) / noise.variance.value
    if times >= _MOSTLY_FIT and noise.p < _FIT_DOUBT:
        yield Notice(
            "note",
            "lack of fit",
            f"The mean squared error is {times:.1f} times the noise, so most of it could be learnt: try a larger "
            "network, longer training or more titles.",
        )
