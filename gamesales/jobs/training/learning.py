"""Training a network on the side: on a part of the titles, to learn how good such a network is on the others."""

from __future__ import annotations

import numpy as np

from gamesales.data.contract import Contract
from gamesales.jobs.training.train_job import TrainJob
from gamesales.model.folds import FloatArray, Learn, Predict
from gamesales.model.network import build_network, seed_everything
from gamesales.model.scaling import fit_scaler
from gamesales.model.spec import NetworkSpec, TrainingSpec
from gamesales.model.training import fit


def learner(job: TrainJob, contract: Contract) -> Learn:
    """Return what trains a network of a job on the features and the earnings that it is given."""
    return lambda features, earnings_usd: learn(job.network, job.training, contract, features, earnings_usd)


def learn(
    network: NetworkSpec,
    training: TrainingSpec,
    contract: Contract,
    features: FloatArray,
    earnings_usd: FloatArray,
) -> Predict:
    """Train a network on some titles exactly as one that is published: scaled by these titles alone, from the seed.

    Args:
        network: its layers.
        training: how it learns.
        contract: of the titles.
        features: (n, k), in their own units.
        earnings_usd: (n,).

    Returns: what predicts dollars, float64 (m,), from features, (m, k).
    """
    _, scaling = fit_scaler(contract.feature_names, contract.target.name, features, earnings_usd)
    seed_everything(training.seed)
    made = build_network(network, features.shape[1])
    fit(made, scaling.scale_features(features), scaling.scale_target(earnings_usd), training)

    def predict(values: FloatArray) -> FloatArray:
        scaled = made(scaling.scale_features(values).astype(np.float32), training=False)
        return scaling.unscale_target(np.asarray(scaled)[:, 0])

    return predict
