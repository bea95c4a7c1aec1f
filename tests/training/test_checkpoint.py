"""Training checkpoints and TensorBoard logs: a killed training continues to the same weights."""

import hashlib
import io
import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.errors import InputError
from gamesales.jobs.loading import open_registry
from gamesales.training.checkpoint import TrainingCheckpoint, compute_identity
from gamesales.training.fit import LossHistory, Snapshot
from gamesales.training.keras_objects import load_keras
from gamesales.training.train_job import load_job
from support import warm_process
from support.train_jobs import write_job
from support.versions import DATA

# All random parts of training: initial weights, the split, the row order, dropout and noise. And all of its state: the
# steps of a schedule, the moments of an optimizer, the averages of batch normalization, the weights of the best epoch.
NETWORK = {
    "layers": [
        {"layer": "GaussianNoise", "stddev": 0.01},
        {"layer": "Dense", "units": 16, "activation": "relu"},
        {"layer": "BatchNormalization"},
        {"layer": "Dropout", "rate": 0.2},
        {"layer": "Dense", "units": 1},
    ]
}
TRAINING = {
    "epochs": 24,
    "validation_share": 0.2,
    "early_stopping": {"patience": 1000},
    "schedule": {"name": "CosineDecay", "initial_learning_rate": 0.01, "decay_epochs": 24},
}


@pytest.fixture
def job(tmp_path):
    return write_job(tmp_path / "job.toml", network=NETWORK, training=TRAINING)


def start_training(job, registry, *options):
    return warm_process.start(["train", job, "--registry", registry, *options])


def read_weights(registry):
    """Return the digest of all weights of version 1, the expected golden predictions, the epochs and the metrics."""
    opened = open_registry(registry, "game-earnings")
    bundle = opened.open_bundle(opened.find_version(1))
    path = Path(registry).parent / "read.keras"
    path.write_bytes(bundle.read("model.keras"))
    network = load_keras().models.load_model(path, compile=False)
    digest = hashlib.sha256(b"".join(array.tobytes() for array in network.get_weights())).hexdigest()
    return (
        digest,
        bundle.manifest["golden"]["expected_predictions"],
        bundle.manifest["epochs"],
        bundle.manifest["metrics"],
    )


def kill_after_checkpoint(process, folder):
    """Send SIGKILL as soon as there is a checkpoint, while a later epoch may be running."""
    while not list(folder.glob("*.npz")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_training_continues(job, tmp_path):
    """A training that is killed twice ends with the same weights as an uninterrupted one."""
    uninterrupted = start_training(job, tmp_path / "whole")
    _, errors = uninterrupted.communicate(timeout=120)
    assert uninterrupted.returncode == 0, errors

    folder = tmp_path / "kept"
    options = ("--checkpoint", folder, "--checkpoint-epochs", "2")
    kill_after_checkpoint(start_training(job, tmp_path / "killed", *options), folder)
    (checkpoint,) = folder.glob("*.npz")
    first = len(np.load(checkpoint)["loss"])
    assert first in range(2, 24, 2)
    assert not (tmp_path / "killed").exists()

    again = start_training(job, tmp_path / "killed", *options)
    output = ""
    while "epoch" not in output.rpartition("resuming after")[2].partition("\n")[2]:
        assert again.poll() is None, output
        output += again.stderr.readline()
    again.send_signal(signal.SIGKILL)
    again.communicate(timeout=60)
    assert f"resuming after epoch {first}, from {checkpoint}" in output

    last = start_training(job, tmp_path / "killed", *options)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
    assert "resuming after epoch " in errors
    assert read_weights(tmp_path / "killed") == read_weights(tmp_path / "whole")
    assert list(folder.glob("*.npz")) == [], "the checkpoint is removed at the end"


@pytest.mark.slow
def test_checkpoint_changes_no_weight(cli, job, tmp_path):
    """An uninterrupted training has the same result with a checkpoint and without."""
    for name, options in {"with": ("--checkpoint", "kept", "--checkpoint-epochs", "5"), "without": ()}.items():
        assert cli("train", job, "--registry", tmp_path / name / "registry", *options).code == 0
    assert read_weights(tmp_path / "with" / "registry") == read_weights(tmp_path / "without" / "registry")
    assert list(Path("kept").iterdir()) == []


def test_identity_depends_on_weights(tmp_path, contract):
    """The identity changes with all that the weights depend on, and with nothing else."""

    def compute(data="sales_data_training.csv", **changes):
        job = load_job(write_job(tmp_path / "job.toml", **changes))
        return compute_identity(job, contract, read_titles(DATA / data, contract))

    first = compute()
    others = [
        compute(data="sales_data_test.csv"),
        compute(training={"seed": 4}),
        compute(training={"epochs": 3}),
        compute(network={"layers": [{"layer": "Dense", "units": 1}]}),
    ]
    assert len({first, *others}) == 5
    assert first == compute(name="another-name") == compute(data="sales_data_training.csv")
    other = Contract.from_json({**contract.as_json(), "features": contract.as_json()["features"][::-1]})
    job = load_job(tmp_path / "job.toml")
    assert compute_identity(job, other, read_titles(DATA / "sales_data_training.csv", contract)) != first


def test_failed_training_continues(cli, tmp_path):
    """After a failure at the end, the same command does not train again."""
    job = write_job(tmp_path / "job.toml", training={"epochs": 3})
    event = Path("registry/game-earnings/log/00000000000000000001.json")
    event.parent.mkdir(parents=True)
    event.write_text("damaged")
    assert cli("train", job, "--checkpoint", "kept", "--checkpoint-epochs", "1").code == 4
    event.unlink()
    ran = cli("train", job, "--checkpoint", "kept")
    assert ran.code == 0
    assert "resuming after epoch 3" in ran.err
    assert "epoch 1/3" not in ran.err
    assert list(Path("kept").iterdir()) == []


@pytest.fixture
def open_checkpoint(tmp_path, contract):
    """Open the checkpoint, in ``kept``, of a job with some keys changed."""
    titles = read_titles(DATA / "sales_data_training.csv", contract)

    def open_one(**changes):
        job = load_job(write_job(tmp_path / "job.toml", **changes))
        return TrainingCheckpoint.open(tmp_path / "kept", 1, job, contract, titles)

    return open_one


def save(checkpoint):
    """Save a snapshot, and return it."""
    variables = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), np.array(7, np.int64)
    snapshot = Snapshot(LossHistory((0.5,), (0.25,)), variables, variables[:1])
    checkpoint.save_if_due(1, lambda: snapshot)
    return snapshot


def test_checkpoint_of_other_job_ignored(open_checkpoint):
    """The checkpoint of another job is neither used nor removed."""
    checkpoint, other = open_checkpoint(), open_checkpoint(training={"seed": 4})
    saved, again = save(checkpoint), checkpoint.read()
    assert saved.history == again.history
    for values, other_values in zip(
        [*saved.variables, *saved.best_variables], [*again.variables, *again.best_variables], strict=True
    ):
        assert values.dtype == other_values.dtype
        np.testing.assert_array_equal(values, other_values)
    assert other.read() is None
    other.remove()
    assert checkpoint.read().history == saved.history


def test_damaged_checkpoint_refused(open_checkpoint):
    """A damaged checkpoint is refused by name, and nothing in it is unpickled."""
    checkpoint = open_checkpoint()
    save(checkpoint)
    content = checkpoint.path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 255
    pickled = io.BytesIO()
    np.savez(pickled, loss=np.array([print], object))
    contents = {
        "cut": content[:200],
        "flipped": bytes(flipped),
        "empty": b"",
        "text": b"weights",
        "pickled": pickled.getvalue(),
    }
    for damaged in contents.values():
        checkpoint.path.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"the checkpoint {checkpoint.path} can't be read: ") as refused:
            checkpoint.read()
        assert "Delete it" in refused.value.hint


@pytest.mark.parametrize("option", ["--checkpoint", "--tensorboard"])
def test_file_as_folder_refused(cli, tmp_path, option):
    """A file is refused as the folder of checkpoints or logs."""
    Path("kept").write_text("")
    ran = cli("train", write_job(tmp_path / "job.toml"), option, "kept")
    assert ran.code == 2
    assert f"Give another {option}" in ran.err
    assert not Path("registry").exists()


def test_zero_checkpoint_epochs_refused(cli, tmp_path):
    """``--checkpoint-epochs 0`` is refused."""
    assert cli("train", write_job(tmp_path / "j.toml"), "--checkpoint", "k", "--checkpoint-epochs", "0").code == 2


# --- TensorBoard.


def read_scalars(folder):
    """Read a log: (epoch, tag) to value."""
    import tensorflow as tf

    (path,) = folder.glob("events.out.tfevents.*")
    values = {}
    for record in tf.data.TFRecordDataset(str(path)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            values[tf.compat.v1.Event.FromString(record.numpy()).step, value.tag] = float(tf.make_ndarray(value.tensor))
    return values


def test_tensorboard_logs_each_epoch(cli, tmp_path):
    """The logs have the losses and the learning rate of each epoch."""
    schedule = {"name": "PiecewiseConstantDecay", "boundaries": [8], "values": [0.5, 0.25]}
    training = {"epochs": 2, "validation_share": 0.2, "schedule": schedule, "optimizer": "SGD"}
    ran = cli("train", write_job(tmp_path / "job.toml", training=training), "--tensorboard", "logs/first", "--json")
    assert ran.code == 0
    train, validation = read_scalars(Path("logs/first/train")), read_scalars(Path("logs/first/validation"))
    assert set(train) == {(epoch, f"epoch_{name}") for epoch in (1, 2) for name in ("loss", "learning_rate")}
    assert set(validation) == {(1, "epoch_loss"), (2, "epoch_loss")}
    assert [train[epoch, "epoch_learning_rate"] for epoch in (1, 2)] == [0.5, 0.25]
    assert all(0 < value < 10 for value in validation.values())
    assert json.loads(ran.out)["epochs"] == 2


# --- Early stopping and names.


def test_early_stopping_recorded_in_manifest(cli, tmp_path):
    """The manifest has the epochs that ran and the one that was kept. The learning rate is too large."""
    training = {
        "epochs": 60,
        "validation_share": 0.2,
        "early_stopping": {"patience": 3},
        "optimizer": {"name": "Adam", "learning_rate": 0.2},
    }
    ran = cli("train", write_job(tmp_path / "job.toml", training=training), "--json")
    assert ran.code == 0
    opened = open_registry(tmp_path / "registry", "game-earnings")
    manifest = opened.open_bundle(opened.find_version(1)).manifest
    assert manifest["epochs"]["run"] == ran.document["epochs"] == manifest["epochs"]["kept"] + 3 < 60
    assert manifest["training"]["early_stopping"] == {"patience": 3, "min_delta": 0.0, "restore_best": True}


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (
            {"early_stopping": {"patience": 3}},
            "early_stopping watches the validation loss; expected a validation",
        ),
        ({"early_stopping": {"patience": 0}, "validation_share": 0.1}, "training.early_stopping.patience: "),
        ({"early_stopping": {}, "validation_share": 0.1}, "training.early_stopping.patience: missing"),
        ({"early_stopping": {"patience": 1, "delta": 1}, "validation_share": 0.1}, "training.early_stopping.delta: "),
    ],
)
def test_invalid_early_stopping_refused(cli, tmp_path, training, message):
    """An invalid ``early_stopping`` is refused by its key."""
    ran = cli("train", write_job(tmp_path / "job.toml", training=training))
    assert ran.code == 2
    assert message in ran.err


def test_layer_names_of_version(trained_registry, tmp_path):
    """The layers of a version are named after class and index. Keras itself would count all networks of the process."""
    bundle = trained_registry.open_bundle(trained_registry.find_version(1))
    (tmp_path / "m.keras").write_bytes(bundle.read("model.keras"))
    network = load_keras().models.load_model(tmp_path / "m.keras", compile=False)
    assert [layer.name for layer in network.layers] == ["dense_0", "dense_1", "dense_2", "dense_3"]
