"""Specifications: validation, defaults, and the round trip through the manifest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gamesales.data.validation import explain_faults
from gamesales.training.train_job import (
    COURSE,
    LayerSpec,
    NetworkSpec,
    ObjectSpec,
    TrainingSpec,
    load_job,
    read_data,
)
from support.train_jobs import write_job
from support.versions import DATA

DENSE = {"layer": "Dense", "units": 1}
plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
arguments = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda key: key not in ("layer", "name")),
    plain | st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=4), plain, max_size=2),
    max_size=4,
)
layers = st.builds(lambda name, arguments: {"layer": name, **arguments}, st.text(min_size=1, max_size=8), arguments)
objects = st.builds(lambda name, arguments: {"name": name, **arguments}, st.text(min_size=1, max_size=8), arguments)
networks = st.builds(lambda specs: NetworkSpec(layers=specs), st.lists(layers, min_size=1, max_size=4))
trainings = st.builds(
    TrainingSpec,
    loss=objects | st.text(min_size=1, max_size=8),
    optimizer=objects | st.text(min_size=1, max_size=8),
    schedule=st.none() | objects,
    epochs=st.integers(1, 1000),
    batch_size=st.integers(1, 1000),
    validation_share=st.floats(0, 0.99),
    seed=st.integers(0, 2**32 - 1),
)


def describe_refusal(spec, fields):
    """Return the message for a specification that is refused."""
    with pytest.raises(ValidationError) as refused:
        spec.model_validate(fields)
    return explain_faults(refused.value, spec)


@settings(deadline=None, max_examples=50)
@given(networks)
def test_network_round_trip(spec):
    """A network is equal after a round trip through JSON."""
    assert spec == NetworkSpec.model_validate_json(spec.model_dump_json())


@settings(deadline=None, max_examples=50)
@given(trainings)
def test_training_round_trip(spec):
    """A training is equal after a round trip through JSON."""
    assert spec == TrainingSpec.model_validate_json(spec.model_dump_json())


@pytest.mark.parametrize(
    ("spec", "fields", "message"),
    [
        (NetworkSpec, {}, "layers: missing"),
        (NetworkSpec, {"layers": []}, "layers: "),
        (NetworkSpec, {"layers": [DENSE, {"units": 3}]}, "layers.1.layer: missing"),
        (NetworkSpec, {"layers": [{"layer": ""}]}, "layers.0.layer: "),
        (NetworkSpec, {"layers": [DENSE, 7]}, "layers.1: "),
        (NetworkSpec, {"layers": [DENSE], "depth": 2}, "depth: unknown key"),
        (TrainingSpec, {}, "epochs: missing"),
        (TrainingSpec, {"epochs": 0}, "epochs: expected 1 or more, received 0"),
        (TrainingSpec, {"epochs": "many"}, "epochs: expected a whole number"),
        (TrainingSpec, {"epochs": 1, "epoch": 1}, "epoch: unknown key"),
        (TrainingSpec, {"epochs": 1, "batch_size": 0}, "batch_size: "),
        (TrainingSpec, {"epochs": 1, "validation_share": 1.0}, "validation_share: expected less than 1"),
        (TrainingSpec, {"epochs": 1, "seed": -1}, "seed: "),
        (TrainingSpec, {"epochs": 1, "seed": 2**32}, "seed: "),
        (TrainingSpec, {"epochs": 1, "loss": 3}, "loss: "),
        (TrainingSpec, {"epochs": 1, "loss": {"delta": 0.1}}, "loss.name: missing"),
        (TrainingSpec, {"epochs": 1, "optimizer": 3}, "optimizer: "),
        (TrainingSpec, {"epochs": 1, "optimizer": {"learning_rate": 0.1}}, "optimizer.name: missing"),
        (TrainingSpec, {"epochs": 1, "schedule": {"name": ""}}, "schedule.name: "),
        (
            TrainingSpec,
            {"epochs": 1, "optimizer": {"name": "Adam", "clipnorm": float("inf")}},
            "optimizer: expected fin",
        ),
        (NetworkSpec, {"layers": [{"layer": "ReLU", "max_value": float("nan")}]}, "layers.0: expected finite numbers"),
    ],
)
def test_wrong_key_named(spec, fields, message):
    """A wrong key is named with its path."""
    assert message in describe_refusal(spec, fields)


def test_all_wrong_keys_named():
    """All wrong keys are in one message."""
    message = describe_refusal(TrainingSpec, {"epochs": 0, "batch": 3, "seed": "one"})
    assert ["batch", "epochs", "seed"] == sorted(fault.split(":")[0] for fault in message.split("; "))


def test_bare_name_has_no_arguments():
    """A bare name is a table without arguments."""
    spec = TrainingSpec.model_validate({"epochs": 1, "loss": "mse", "optimizer": "SGD", "schedule": "CosineDecay"})
    assert ObjectSpec(name="mse") == spec.loss
    assert ObjectSpec(name="SGD") == spec.optimizer
    assert ObjectSpec(name="CosineDecay") == spec.schedule
    assert {} == spec.optimizer.arguments


def test_arguments_are_a_copy():
    """The arguments are all keys but the name, and changing them does not change the specification."""
    layer = LayerSpec.model_validate({"layer": "Dense", "units": 5, "activation": "relu"})
    assert {"units": 5, "activation": "relu"} == layer.arguments
    layer.arguments["units"] = 6
    assert 5 == layer.arguments["units"]


def test_layer_as_text():
    """A layer is written as a call, with units and activation by position."""
    assert "Dense(50, relu)" == str(LayerSpec(layer="Dense", units=50, activation="relu"))
    assert "Dropout(rate=0.1)" == str(LayerSpec(layer="Dropout", rate=0.1))


def test_course_training():
    """The course preset trains for 50 epochs in batches of 32 on all rows."""
    training = TrainingSpec.model_validate(COURSE["training"])
    assert (50, 32, 0.0) == (training.epochs, training.batch_size, training.validation_share)
    assert training.schedule is None


def test_nested_layer_as_text():
    """Nested layers and objects are written as nested calls."""
    layer = LayerSpec.model_validate(
        {
            "layer": "RNN",
            "cell": [{"layer": "GRUCell", "units": 3}, {"layer": "LSTMCell", "units": 2}],
            "bias_initializer": {"name": "Constant", "value": 0.5},
            "other": {"class_name": "Ones"},
        }
    )
    assert str(layer) == (
        "RNN(cell=[GRUCell(3), LSTMCell(2)], bias_initializer=Constant(value=0.5), other={'class_name': 'Ones'})"
    )


def test_loss_in_manifest():
    """A manifest has a loss without arguments as a bare name."""
    huber = {"name": "Huber", "delta": 0.5}
    dumped = [
        TrainingSpec(epochs=1, loss=loss).model_dump(mode="json")["loss"] for loss in ("mse", {"name": "mse"}, huber)
    ]
    assert ["mse", "mse", huber] == dumped


@pytest.mark.parametrize("contract", ["data/contract.toml", None])
def test_job_with_root(tmp_path, monkeypatch, contract):
    """The files of a job with a root are found from any folder, its contract and registry by default too."""
    (tmp_path / "shop/jobs").mkdir(parents=True)
    (tmp_path / "shop/data").symlink_to(DATA)
    files = {"train": "data/sales_data_training.csv", "test": str(DATA / "sales_data_test.csv"), "contract": contract}
    path = write_job(tmp_path / "shop/jobs/train.toml", data=files, root="..")
    monkeypatch.chdir("/")
    job = load_job(path)
    shop = tmp_path / "shop"
    assert (shop / "data/contract.toml", str(shop / "registry")) == (job.data.contract, job.registry)
    assert (f"{shop}/data/sales_data_training.csv", f"{DATA}/sales_data_test.csv") == (job.data.train, job.data.test)
    assert 1_000 == len(read_data(job)[1])
    assert job == load_job(path, "course").model_copy(update={"network": job.network, "training": job.training})


def test_job_without_root(tmp_path):
    """Without a root, paths stay as they are, and the job names no registry."""
    job = load_job(write_job(tmp_path / "job.toml", data={"train": "a.csv"}))
    assert ("a.csv", None) == (job.data.train, job.registry)
    assert "s3://b" == load_job(write_job(tmp_path / "job.toml", root=".", registry="s3://b")).registry
