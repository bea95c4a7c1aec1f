"""MLPRegressor of scikit-learn for 60 epochs in batches of 32, where its default would stop early.

The default stops when the loss falls by less than 0.0001 for ten epochs, and the whole loss of scaled earnings is
smaller.
"""

from benchmarks.trainers import sklearn_fit

LABEL = "scikit-learn MLPRegressor, kept going"


def main(train: str, test: str, seed: str) -> sklearn_fit.Answer:
    return sklearn_fit.main(train, test, seed, epochs=60, batch_size=32)
