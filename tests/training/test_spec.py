"""The network and its training as data: what is refused, what is filled in, and what the manifest keeps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gamesales.data.contract import describe
from gamesales.training.spec import COURSE, LayerSpec, Named, NetworkSpec, TrainingSpec

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
layers = st.builds(lambda name, given: {"layer": name, **given}, st.text(min_size=1, max_size=8), arguments)
named = st.builds(lambda name, given: {"name": name, **given}, st.text(min_size=1, max_size=8), arguments)
networks = st.builds(lambda made: NetworkSpec(layers=made), st.lists(layers, min_size=1, max_size=4))
trainings = st.builds(
    TrainingSpec,
    loss=named | st.text(min_size=1, max_size=8),
    optimizer=named | st.text(min_size=1, max_size=8),
    schedule=st.none() | named,
    epochs=st.integers(1, 1000),
    batch_size=st.integers(1, 1000),
    validation_share=st.floats(0, 0.99),
    seed=st.integers(0, 2**32 - 1),
)


def told(spec, fields):
    """What a person reads of a specification that is refused."""
    with pytest.raises(ValidationError) as refused:
        spec.model_validate(fields)
    return describe(refused.value)


@settings(deadline=None, max_examples=50)
@given(networks)
def test_a_network_comes_back_from_the_manifest_as_it_went_in(spec):
    assert spec == NetworkSpec.model_validate_json(spec.model_dump_json())


@settings(deadline=None, max_examples=50)
@given(trainings)
def test_a_training_comes_back_from_the_manifest_as_it_went_in(spec):
    assert spec == TrainingSpec.model_validate_json(spec.model_dump_json())


@pytest.mark.parametrize(
    ("spec", "fields", "message"),
    [
        (NetworkSpec, {}, "layers: Field required"),
        (NetworkSpec, {"layers": []}, "layers: "),
        (NetworkSpec, {"layers": [DENSE, {"units": 3}]}, "layers.1.layer: Field required"),
        (NetworkSpec, {"layers": [{"layer": ""}]}, "layers.0.layer: "),
        (NetworkSpec, {"layers": [DENSE, 7]}, "layers.1: "),
        (NetworkSpec, {"layers": [DENSE], "depth": 2}, "depth: Extra inputs"),
        (TrainingSpec, {}, "epochs: Field required"),
        (TrainingSpec, {"epochs": 0}, "epochs: Input should be greater than or equal to 1 (received 0)"),
        (TrainingSpec, {"epochs": "many"}, "epochs: Input should be a valid integer"),
        (TrainingSpec, {"epochs": 1, "epoch": 1}, "epoch: Extra inputs"),
        (TrainingSpec, {"epochs": 1, "batch_size": 0}, "batch_size: "),
        (TrainingSpec, {"epochs": 1, "validation_share": 1.0}, "validation_share: Input should be less than 1"),
        (TrainingSpec, {"epochs": 1, "seed": -1}, "seed: "),
        (TrainingSpec, {"epochs": 1, "seed": 2**32}, "seed: "),
        (TrainingSpec, {"epochs": 1, "loss": 3}, "loss: "),
        (TrainingSpec, {"epochs": 1, "loss": {"delta": 0.1}}, "loss.name: Field required"),
        (TrainingSpec, {"epochs": 1, "optimizer": 3}, "optimizer: "),
        (TrainingSpec, {"epochs": 1, "optimizer": {"learning_rate": 0.1}}, "optimizer.name: Field required"),
        (TrainingSpec, {"epochs": 1, "schedule": {"name": ""}}, "schedule.name: "),
        (
            TrainingSpec,
            {"epochs": 1, "optimizer": {"name": "Adam", "clipnorm": float("inf")}},
            "optimizer: expected fin",
        ),
        (NetworkSpec, {"layers": [{"layer": "ReLU", "max_value": float("nan")}]}, "layers.0: expected finite numbers"),
    ],
)
def test_a_wrong_key_is_named_with_its_path(spec, fields, message):
    assert message in told(spec, fields)


def test_every_wrong_key_is_named_at_once():
    message = told(TrainingSpec, {"epochs": 0, "batch": 3, "seed": "one"})
    assert ["batch", "epochs", "seed"] == sorted(fault.split(":")[0] for fault in message.split("; "))


def test_a_bare_optimizer_or_schedule_means_default_arguments():
    spec = TrainingSpec.model_validate({"epochs": 1, "loss": "mse", "optimizer": "SGD", "schedule": "CosineDecay"})
    assert Named(name="mse") == spec.loss
    assert Named(name="SGD") == spec.optimizer
    assert Named(name="CosineDecay") == spec.schedule
    assert {} == spec.optimizer.arguments


def test_arguments_are_all_but_the_name_and_changing_them_changes_no_specification():
    layer = LayerSpec.model_validate({"layer": "Dense", "units": 5, "activation": "relu"})
    assert {"units": 5, "activation": "relu"} == layer.arguments
    layer.arguments["units"] = 6
    assert 5 == layer.arguments["units"]


def test_a_layer_is_shown_as_people_write_it():
    assert "Dense(50, relu)" == str(LayerSpec(layer="Dense", units=50, activation="relu"))
    assert "Dropout(rate=0.1)" == str(LayerSpec(layer="Dropout", rate=0.1))


def test_the_course_trains_50_epochs_in_batches_of_32_on_every_row():
    training = TrainingSpec.model_validate(COURSE["training"])
    assert (50, 32, 0.0) == (training.epochs, training.batch_size, training.validation_share)
    assert training.schedule is None


def test_a_layer_reads_as_a_call_with_the_layers_and_objects_inside_it():
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


def test_a_manifest_has_a_loss_as_a_bare_name_unless_it_has_arguments():
    huber = {"name": "Huber", "delta": 0.5}
    dumped = [
        TrainingSpec(epochs=1, loss=loss).model_dump(mode="json")["loss"] for loss in ("mse", {"name": "mse"}, huber)
    ]
    assert ["mse", "mse", huber] == dumped
