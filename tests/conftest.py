"""What several test files need: titles, registries with versions in them, and the command line in this process.

``simple_registry`` holds versions whose earnings follow a formula that a test can compute by hand; it needs no
TensorFlow. ``trained_registry`` holds one that was really trained, once for a process.
"""

from __future__ import annotations

import fcntl
import shutil
import signal

import pytest

from gamesales.cli.main import run
from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from gamesales.training import baselines
from support import servers
from support.sampling import load_profile
from support.versions import (
    DATA,
    Ran,
    publish_promoted,
)

load_profile()

# Started in the background of a shell, pytest ignores SIGINT, and its children would too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """Run a command line in this process, from an empty folder; ``registry`` in it is the default registry."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAMESALES_REGISTRY", raising=False)

    def command(*arguments):
        capsys.readouterr()
        code = run([str(one) for one in arguments])
        return Ran(code, *capsys.readouterr())

    return command


@pytest.fixture(scope="session")
def s3():
    """The S3 server of this process."""
    return servers.s3()


@pytest.fixture(scope="session")
def azure():
    """The Azure server of this process."""
    with servers.azure() as server:
        yield server


@pytest.fixture
def s3_url(request, monkeypatch, tmp_path):
    """The URL of an empty folder in an S3 server. A test may name the fault of the server."""
    monkeypatch.setenv("GAMESALES_CACHE", str(tmp_path / "cache"))
    return servers.s3(getattr(request, "param", "none")).enter(monkeypatch)


@pytest.fixture
def contract():
    return Contract.from_toml(DATA / "contract.toml")


@pytest.fixture
def simple_registry(tmp_path):
    """A registry at ``tmp_path/registry`` with one simple version, promoted."""
    return publish_promoted(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _small_grid():
    """Tune gradient boosting over a grid of one point. Most tests that train are not about the baselines."""
    with pytest.MonkeyPatch.context() as patch:
        for name, grid in (("TREES", (100,)), ("DEPTHS", (3,)), ("LEARNING_RATES", (0.2,))):
            patch.setattr(baselines, name, grid)
        yield


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory, worker_id):
    """The folder of a registry with a version trained by the course's preset, for few epochs, on the shipped titles.

    The first test process that needs it trains it, for all of them. It is read only.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "trained"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _train_small(folder)
            (folder / "done").touch()
    return folder


def _train_small(folder):
    from gamesales.jobs.train import train
    from gamesales.training.train_job import load_job

    job_file = folder / "job.toml"
    job_file.write_text(
        f'[data]\ntrain = "{DATA}/sales_data_training.csv"\ntest = "{DATA}/sales_data_test.csv"\n'
        f'contract = "{DATA}/contract.toml"\n'
        '[network]\nlayers = [{ layer = "Dense", units = 1 }]\n[training]\nepochs = 1\nseed = 7\n'
        "[intervals]\nfolds = 2\n[report]\nfolds = 2\nseeds = 1\n",
        encoding="utf-8",
    )
    job = load_job(job_file, "course")
    # A batch of another size would be compiled separately; this size divides the titles of all trainings.
    training = job.training.model_copy(update={"epochs": 10, "batch_size": 125})
    job = job.model_copy(update={"training": training})
    train(job, open_registry(folder / "registry", job.name), reason="for the tests")


@pytest.fixture
def trained_registry(trained_once, tmp_path):
    """A copy of that registry at ``tmp_path/registry``; version 1, not promoted."""
    shutil.copytree(trained_once / "registry", tmp_path / "registry")
    return open_registry(tmp_path / "registry", "game-earnings")
