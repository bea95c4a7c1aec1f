"""The network that ``gamesales init`` proposes depends on the kinds of the columns and the number of rows."""

import tomllib
from pathlib import Path

import pytest

from gamesales.data.contract import Column, Contract
from gamesales.jobs.job_texts import DefaultNetwork
from support.versions import DATA, ROOT

SHIPPED = Contract.from_toml(DATA / "contract.toml")
MIXED = Contract(Column("sold", "number"), (Column("genre", "category"),))
LOGARITHMIC = Contract(Column("sold", "number", scale="log"), (Column("score", "number"),))


def test_numbers_get_the_shipped_network():
    """A table like that of the project gets the network and the training of the project's job."""
    job = tomllib.loads(Path(ROOT / "jobs/train.toml").read_text(encoding="utf-8"))
    network, training = DefaultNetwork.choose(SHIPPED, 800), job["training"]
    assert network.units == tuple(layer["units"] for layer in job["network"]["layers"][:-1])
    assert network.activation == job["network"]["layers"][0]["activation"]
    assert network.learning_rate == training["schedule"]["initial_learning_rate"]
    assert (network.epochs, network.batch_size) == (training["epochs"], training["batch_size"])


@pytest.mark.parametrize("contract", [MIXED, LOGARITHMIC])
def test_other_tables_get_dropout(contract):
    """Categories and logarithms have more noise to fit, so the network has dropout and fewer epochs."""
    network = DefaultNetwork.choose(contract, 800)
    assert network.dropout > 0
    assert network.epochs < DefaultNetwork.choose(SHIPPED, 800).epochs


@pytest.mark.parametrize("contract", [SHIPPED, MIXED])
def test_large_tables_get_large_batches(contract):
    """A large table is trained in larger batches, and not in more epochs."""
    small, large = (DefaultNetwork.choose(contract, rows) for rows in (800, 1_000_000))
    assert large.batch_size > small.batch_size
    assert large.epochs <= small.epochs
