"""Errors slice by slice: of action titles, of those for $59.99, of exclusives, and where they are worse than elsewhere.

Dear titles miss by more dollars than cheap ones, and that is no fault. So a slice is compared with the rest in units of
what titles of its size miss by as a rule (``calibration.fit_scale``), and called worse only if chance, asked about all
slices at once (Bonferroni), does not explain it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gamesales.model.diagnosis import means
from gamesales.model.diagnosis.families import Family
from gamesales.model.folds import FloatArray

# How often a report on a faultless version names a slice by chance, over all of its slices.
_DOUBT = 0.01
# Less than this is not worth a word, however sure.
_WORSE = 1.25


@dataclass(frozen=True)
class Slice:
    """A part of the titles: how far off, with 95 % bounds, and which way.

    ``times`` compares its errors with those of the rest, size allowed for: 2 is twice as far off as its predictions
    explain; None: there is no rest, or it is not off at all. ``is_worse`` is whether that is clear, and large enough to
    matter. ``held`` is the share whose earnings lie within their prediction interval; None: there are no intervals.
    """

    family: str
    label: str
    rows: int
    mae_usd: means.Estimate
    bias_usd: means.Estimate
    times: float | None
    is_worse: bool
    held: float | None


def measure(
    families: Sequence[Family],
    errors_usd: FloatArray,
    scale_usd: FloatArray,
    clusters: npt.NDArray[np.int64],
    held: npt.NDArray[np.bool_] | None = None,
) -> list[Slice]:
    """Measure every slice of some titles.

    Args:
        families: how to divide them; no part is empty.
        errors_usd: predicted minus actual, float64 (n,).
        scale_usd: how far off a title of its size is as a rule, float64 (n,), above 0.
        clusters: int64 (n,), alike for titles with the same features.
        held: bool (n,), which titles' earnings lie within their prediction interval.
    """
    sizes = np.abs(errors_usd)
    asked = sum(len(family.labels) for family in families)
    found = []
    for family in families:
        for place, label in enumerate(family.labels):
            rows = family.slice_of == place
            times, is_worse = _against_rest(sizes / scale_usd, rows, clusters, asked)
            found.append(
                Slice(
                    family.name,
                    label,
                    int(rows.sum()),
                    means.mean(sizes[rows], clusters[rows]),
                    means.mean(errors_usd[rows], clusters[rows]),
                    times,
                    is_worse,
                    None if held is None else float(held[rows].mean()),
                )
            )
    return found


def _against_rest(
    relative: FloatArray, rows: npt.NDArray[np.bool_], clusters: npt.NDArray[np.int64], asked: int
) -> tuple[float | None, bool]:
    if rows.all():
        return None, False
    doubt = 2 * _DOUBT / asked  # one-sided
    here, rest = (means.mean(relative[part], clusters[part], doubt) for part in (rows, ~rows))
    if rest.value <= 0:
        return None, False
    times = here.value / rest.value
    if here.low is None or rest.high is None:
        return times, False
    apart = float(np.hypot(here.value - here.low, rest.high - rest.value))
    return times, times >= _WORSE and here.value - rest.value > apart
