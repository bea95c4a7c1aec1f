"""What the errors of a version give away, told as ``notices`` tells what the titles do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gamesales.model.diagnosis import means
from gamesales.model.diagnosis.notices import Notice
from gamesales.model.diagnosis.residuals import Correlation
from gamesales.model.diagnosis.slices import Slice
from gamesales.model.diagnosis.twins import Labels, Noise
from gamesales.model.folds import FloatArray

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
                f"(${one.mae_usd.value:,.0f} on average, {one.rows:,} titles). "
                "Collect more such titles, or look for a column that explains them.",
            )


def about_folds(plain: FloatArray | None, grouped: FloatArray | None, labels: Labels) -> Iterator[Notice]:
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


def about_seeds(own_usd: float, others_usd: Sequence[float]) -> Iterator[Notice]:
    """Compare a version's average error with those of the same network from other seeds."""
    if others_usd and own_usd < _LUCKY * min(others_usd):
        yield Notice(
            "note",
            "lucky seed",
            f"This seed was lucky: the same network from {len(others_usd)} other seeds is off by "
            f"${min(others_usd):,.0f} to ${max(others_usd):,.0f} on average. "
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


def about_fit(errors_usd: FloatArray, noise: Noise | None) -> Iterator[Notice]:
    """Tell that errors are mostly no noise. Args: errors_usd: (m,); noise: None where it is not known."""
    if noise is None or noise.p is None or noise.variance_usd2.value <= 0:
        return
    times = float((errors_usd**2).mean()) / noise.variance_usd2.value
    if times >= _MOSTLY_FIT and noise.p < _FIT_DOUBT:
        yield Notice(
            "note",
            "lack of fit",
            f"The mean squared error is {times:.1f} times the noise, so most of it could be learnt: try a larger "
            "network, longer training or more titles.",
        )
