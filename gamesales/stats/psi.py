"""The population stability index (PSI): how much two samples of one column differ, from their histograms.

The index is the symmetric Kullback-Leibler divergence of the two histograms. The rule of thumb for it is from Siddiqi,
*Credit Risk Scorecards*, Wiley 2006: below 0.1 the population is unchanged, above 0.25 it has shifted.
"""

from __future__ import annotations

import math

import numpy as np

from gamesales.arrays import FloatArray, IntArray

# Rows added to each bin, so that the logarithm of an empty bin is finite: Jeffreys' prior of a multinomial.
_PRIOR_ROWS = 0.5


def compute_psi(first: IntArray, second: IntArray) -> float:
    """Compute the population stability index of two histograms.

    The index is the sum of (p - q) ln(p / q) over the bins, where p and q are the shares of the rows in each bin.

    Args:
        first: int64 (b,), the rows in each bin.
        second: int64 (b,), the rows of the other sample in the same bins. The order of the two does not matter.

    Returns:
        The index, 0 or more. It is 0 if a sample has no rows.
    """
    if not first.sum() or not second.sum():
        return 0.0
    p, q = _estimate_shares(first), _estimate_shares(second)
    return float(np.sum((p - q) * np.log(p / q)))


def compute_chance_psi(bins: int, first_rows: int, second_rows: int, deviations: float = 0.0) -> float:
    """Compute the index to expect by chance of two samples from the same population.

    The index divided by 1/n + 1/N is then about chi-squared with b - 1 degrees of freedom, for samples of n and N rows
    in b bins (Yurdakul and Naranjo, "Statistical properties of the population stability index", *Journal of Risk
    Model Validation*, 2020). So its mean is (b - 1)(1/n + 1/N).

    Args:
        bins: the number of bins.
        first_rows: the rows of a sample.
        second_rows: the rows of the other sample.
        deviations: the number of standard deviations to add to the mean.

    Returns:
        The mean of the index plus its standard deviation times ``deviations``. It is 0 if a sample has no rows.
    """
    if not first_rows or not second_rows:
        return 0.0
    freedom = bins - 1
    return (1 / first_rows + 1 / second_rows) * (freedom + deviations * math.sqrt(2 * freedom))


def _estimate_shares(counts: IntArray) -> FloatArray:
    rows = counts + _PRIOR_ROWS
    shares: FloatArray = rows / rows.sum()
    return shares
