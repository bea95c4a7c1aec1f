"""Simulated titles as arrays."""

import numpy as np

from gamesales.data.simulate import compute_expected_earnings, simulate
from support.versions import FEATURES


def titles(rows, seed=1, continuous=False):
    """Simulated titles: their features, what they earned, and what the formula says that they earn on average."""
    (batch,) = simulate(rows, seed=seed, continuous=continuous)
    columns = {name: batch.column(name).to_numpy(zero_copy_only=False).astype(float) for name in batch.schema.names}
    return (
        np.stack([columns[name] for name in FEATURES], 1),
        columns["total_earnings"],
        compute_expected_earnings(columns),
    )
