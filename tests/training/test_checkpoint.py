"""Training that was killed goes on where it was, to the same weights; nobody else's checkpoint is ever used."""

import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.jobs.loading import open_registry
from gamesales.training.checkpoint import identity
from gamesales.training.network import load_keras
from gamesales.training.train_job import load_job
from support.train_jobs import write_job
from support.versions import DATA

# All that training draws by chance: first weights, the split, the order of rows, dropout, noise; a schedule that counts
# steps, an optimizer with a memory, statistics that move, and a best epoch to go back to.
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


def start(job, registry, *more):
    command = [sys.executable, "-m", "gamesales", "train", job, "--registry", registry, *more]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def weights(registry):
    """The digest of every weight of version 1, bit for bit, and what the scorer makes of the golden rows."""
    opened = open_registry(registry, "game-earnings")
    bundle = opened.bundle(opened.find_version(1))
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


def kill_after_a_checkpoint(process, folder):
    """Send SIGKILL as soon as a checkpoint is there and a later epoch may be under way."""
    while not list(folder.glob("*.npz")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_training_that_is_killed_twice_ends_with_the_weights_of_one_that_was_not(job, tmp_path):
    undisturbed = start(job, tmp_path / "whole")
    _, errors = undisturbed.communicate(timeout=120)
    assert undisturbed.returncode == 0, errors

    kept = tmp_path / "kept"
    options = ("--checkpoint", kept, "--checkpoint-epochs", "2")
    kill_after_a_checkpoint(start(job, tmp_path / "killed", *options), kept)
    (checkpoint,) = kept.glob("*.npz")
    first = len(np.load(checkpoint)["loss"])
    assert first in range(2, 24, 2)
    assert not (tmp_path / "killed").exists()

    again = start(job, tmp_path / "killed", *options)
    told = ""
    while "epoch" not in told.rpartition("going on after")[2].partition("\n")[2]:
        assert again.poll() is None, told
        told += again.stderr.readline()
    again.send_signal(signal.SIGKILL)
    again.communicate(timeout=60)
    assert f"going on after epoch {first}, from {checkpoint}" in told

    last = start(job, tmp_path / "killed", *options)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
    assert "going on after epoch " in errors
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert list(kept.glob("*.npz")) == [], "it is removed at the end"


def test_a_checkpoint_changes_nothing_of_training_that_is_not_killed(cli, job, tmp_path):
    for name, options in {"with": ("--checkpoint", "kept", "--checkpoint-epochs", "5"), "without": ()}.items():
        assert cli("train", job, "--registry", tmp_path / name / "registry", *options).code == 0
    assert weights(tmp_path / "with" / "registry") == weights(tmp_path / "without" / "registry")
    assert list(Path("kept").iterdir()) == []


def test_what_a_checkpoint_is_named_after(tmp_path, contract):
    """Everything that the weights depend on, and nothing else."""

    def named(data="sales_data_training.csv", **changes):
        job = load_job(write_job(tmp_path / "job.toml", **changes))
        return identity(job, contract, read_titles(DATA / data, contract))

    first = named()
    others = [
        named(data="sales_data_test.csv"),
        named(training={"seed": 4}),
        named(training={"epochs": 3}),
        named(network={"layers": [{"layer": "Dense", "units": 1}]}),
    ]
    assert len({first, *others}) == 5
    assert first == named(name="another-name") == named(data="sales_data_training.csv")
    other = Contract.from_json({**contract.as_json(), "features": contract.as_json()["features"][::-1]})
    job = load_job(tmp_path / "job.toml")
    assert identity(job, other, read_titles(DATA / "sales_data_training.csv", contract)) != first


def left_by(cli, job, folder):
    """What a training leaves in its folder when its registry turns out not to be one."""
    Path("registry").write_text("a file, where a folder should be")
    ran = cli("train", job, "--checkpoint", folder, "--checkpoint-epochs", "1")
    Path("registry").unlink()
    assert ran.code != 0
    (checkpoint,) = Path(folder).glob("*.npz")
    return checkpoint


def test_training_that_fails_at_the_very_end_need_not_train_again(cli, tmp_path):
    job = write_job(tmp_path / "job.toml", training={"epochs": 3})
    left_by(cli, job, "kept")
    ran = cli("train", job, "--checkpoint", "kept")
    assert ran.code == 0
    assert "going on after epoch 3" in ran.err
    assert "epoch 1/3" not in ran.err
    assert list(Path("kept").iterdir()) == []


def test_another_jobs_checkpoint_is_not_used_and_stays(cli, tmp_path):
    checkpoint = left_by(cli, write_job(tmp_path / "job.toml"), "kept")
    before = checkpoint.read_bytes()
    ran = cli("train", write_job(tmp_path / "job.toml", training={"seed": 4}), "--checkpoint", "kept", "--json")
    assert (ran.code, "going on" in ran.err) == (0, False)
    assert [path.read_bytes() for path in Path("kept").iterdir()] == [before]


@pytest.mark.parametrize("change", ["cut", "flipped", "empty", "text", "pickled"])
def test_a_checkpoint_that_was_changed_is_refused_by_name(cli, tmp_path, change):
    """Nothing in it is unpickled either."""
    job = write_job(tmp_path / "job.toml")
    checkpoint = left_by(cli, job, "kept")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 255
    pickled = io.BytesIO()
    np.savez(pickled, loss=np.array([print], object))
    contents = {
        "cut": content[:200],
        "flipped": content,
        "empty": b"",
        "text": b"weights",
        "pickled": pickled.getvalue(),
    }
    checkpoint.write_bytes(contents[change])
    ran = cli("train", job, "--checkpoint", "kept")
    assert ran.code == 3
    assert f"the checkpoint {checkpoint} can't be read: " in ran.err
    assert "Delete it" in ran.err


@pytest.mark.parametrize("option", ["--checkpoint", "--tensorboard"])
def test_a_folder_that_is_a_file_is_refused(cli, tmp_path, option):
    Path("kept").write_text("")
    ran = cli("train", write_job(tmp_path / "job.toml"), option, "kept")
    assert ran.code == 2
    assert f"Give another {option}" in ran.err
    assert not Path("registry").exists()


def test_zero_epochs_between_checkpoints_are_refused(cli, tmp_path):
    assert cli("train", write_job(tmp_path / "j.toml"), "--checkpoint", "k", "--checkpoint-epochs", "0").code == 2


# --- TensorBoard.


def scalars(folder):
    """What a log says: (epoch, tag) to number."""
    import tensorflow as tf

    (path,) = folder.glob("events.out.tfevents.*")
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[tf.compat.v1.Event.FromString(record.numpy()).step, value.tag] = float(tf.make_ndarray(value.tensor))
    return found


def test_tensorboard_is_told_losses_and_learning_rate_of_each_epoch(cli, tmp_path):
    schedule = {"name": "PiecewiseConstantDecay", "boundaries": [25], "values": [0.5, 0.25]}
    training = {"epochs": 2, "validation_share": 0.2, "schedule": schedule, "optimizer": "SGD"}
    ran = cli("train", write_job(tmp_path / "job.toml", training=training), "--tensorboard", "logs/first", "--json")
    assert ran.code == 0
    train, validation = scalars(Path("logs/first/train")), scalars(Path("logs/first/validation"))
    assert set(train) == {(epoch, f"epoch_{name}") for epoch in (1, 2) for name in ("loss", "learning_rate")}
    assert set(validation) == {(1, "epoch_loss"), (2, "epoch_loss")}
    assert [train[epoch, "epoch_learning_rate"] for epoch in (1, 2)] == [0.5, 0.25]
    assert all(0 < value < 10 for value in validation.values())
    assert json.loads(ran.out)["epochs"] == 2


# --- Early stopping and names.


def test_training_that_stops_early_keeps_its_best_epoch_and_says_so(cli, tmp_path):
    """By a rate so large that the loss gets worse soon."""
    training = {
        "epochs": 60,
        "validation_share": 0.2,
        "early_stopping": {"patience": 3},
        "optimizer": {"name": "Adam", "learning_rate": 0.2},
    }
    ran = cli("train", write_job(tmp_path / "job.toml", training=training), "--json")
    assert ran.code == 0
    opened = open_registry(tmp_path / "registry", "game-earnings")
    manifest = opened.bundle(opened.find_version(1)).manifest
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
        ({"early_stopping": {}, "validation_share": 0.1}, "training.early_stopping.patience: Field required"),
        ({"early_stopping": {"patience": 1, "delta": 1}, "validation_share": 0.1}, "training.early_stopping.delta: "),
    ],
)
def test_early_stopping_that_can_not_be_is_refused_by_name(cli, tmp_path, training, message):
    ran = cli("train", write_job(tmp_path / "job.toml", training=training))
    assert ran.code == 2
    assert message in ran.err


def test_layers_of_a_version_are_named_after_class_and_place(trained_registry, tmp_path):
    """Keras itself would count on from whatever networks the process had made before."""
    bundle = trained_registry.bundle(trained_registry.find_version(1))
    (tmp_path / "m.keras").write_bytes(bundle.read("model.keras"))
    network = load_keras().models.load_model(tmp_path / "m.keras", compile=False)
    assert [layer.name for layer in network.layers] == ["dense_0", "dense_1", "dense_2", "dense_3"]
