"""Train many small networks together, for studies that need hundreds.

They are trained as the further networks of a job are: as stacks. Networks differ in their first weights, in the order
of their rows, and in their rows.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from benchmarks.measure import ROOT
from gamesales.arrays import FloatArray
from gamesales.data.contract import Contract
from gamesales.training.fit import PredictFunction
from gamesales.training.refits import fit_predictors, plan_refit, require_trained
from gamesales.training.train_job import NetworkSpec, TrainingSpec

Rows = tuple[FloatArray, FloatArray]  # features (n, k) and earnings (n,)


@dataclass(frozen=True)
class Recipe:
    """The units of the hidden layers, their activation, and the training."""

    hidden: tuple[int, ...]
    activation: str
    epochs: int
    batch_size: int
    learning_rate: float
    decays: bool = True

    @classmethod
    def of_default_job(cls) -> Self:
        job = tomllib.loads((ROOT / "jobs/train.toml").read_text(encoding="utf-8"))
        *hidden, _ = job["network"]["layers"]
        (activation,) = {layer["activation"] for layer in hidden}
        training, schedule = job["training"], job["training"]["schedule"]
        values = schedule["name"], schedule["decay_epochs"], training["optimizer"]["name"], training["loss"]
        assert values == ("CosineDecay", training["epochs"], "Adam", "mean_squared_error"), values
        units = tuple(layer["units"] for layer in hidden)
        return cls(units, activation, training["epochs"], training["batch_size"], schedule["initial_learning_rate"])

    @property
    def parameters(self) -> int:
        return sum((inputs + 1) * units for inputs, units in pairwise((9, *self.hidden, 1)))


def train_networks(recipe: Recipe, sets: Sequence[Rows], seed: int) -> list[PredictFunction]:
    """Train a network on each set of titles, scaled by the set; return functions from features to earnings."""
    hidden = [{"layer": "Dense", "units": units, "activation": recipe.activation} for units in recipe.hidden]
    network = NetworkSpec.model_validate({"layers": [*hidden, {"layer": "Dense", "units": 1}]})
    contract = Contract.from_toml(ROOT / "data/contract.toml")
    refits = [
        plan_refit(_make_training(recipe, seed + number), contract, features, earnings)
        for number, (features, earnings) in enumerate(sets)
    ]
    return require_trained(fit_predictors(network, refits))


def _make_training(recipe: Recipe, seed: int) -> TrainingSpec:
    values: dict[str, Any] = {"epochs": recipe.epochs, "batch_size": recipe.batch_size, "seed": seed}
    if recipe.decays:
        decay = {"initial_learning_rate": recipe.learning_rate, "decay_epochs": recipe.epochs}
        values["schedule"] = {"name": "CosineDecay", **decay}
    else:
        values["optimizer"] = {"name": "Adam", "learning_rate": recipe.learning_rate}
    return TrainingSpec.model_validate(values)
