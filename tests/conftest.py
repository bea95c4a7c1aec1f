"""What several test files need: titles, registries with versions in them, and the command line in this process.

``simple_registry`` holds versions whose earnings follow a formula that a test can compute by hand; it needs no
TensorFlow. ``trained_registry`` holds one that was really trained, once for a process.
"""

from __future__ import annotations

import shutil

import pytest
from hypothesis import settings

from gamesales.cli.main import run
from gamesales.data.contract import Contract
from gamesales.jobs.loading import open_registry
from support.versions import (
    DATA,
    Ran,
    publish_simple,
)

# A test that is right on a slow machine is right.
settings.register_profile("gamesales", deadline=None)
settings.load_profile("gamesales")


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


@pytest.fixture
def contract():
    return Contract.from_toml(DATA / "contract.toml")


@pytest.fixture
def simple_registry(tmp_path):
    """A registry at ``tmp_path/registry`` with one simple version, promoted."""
    registry = open_registry(tmp_path / "registry", "game-earnings")
    number = publish_simple(registry)
    registry.set_alias("champion", number, "for a test", lambda state, version: {"findings": [], "forced": False})
    return registry


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """The folder of a registry with a version trained by the course's preset, for few epochs, on the shipped titles."""
    from gamesales.jobs.train import train
    from gamesales.training.train_job import load_job

    folder = tmp_path_factory.mktemp("trained")
    job_file = folder / "job.toml"
    job_file.write_text(
        f'[data]\ntrain = "{DATA}/sales_data_training.csv"\ntest = "{DATA}/sales_data_test.csv"\n'
        f'contract = "{DATA}/contract.toml"\n'
        '[network]\nlayers = [{ layer = "Dense", units = 1 }]\n[training]\nepochs = 1\nseed = 7\n'
        "[intervals]\nfolds = 2\n[report]\nfolds = 2\nseeds = 1\n",
        encoding="utf-8",
    )
    job = load_job(job_file, "course")
    job = job.model_copy(update={"training": job.training.model_copy(update={"epochs": 5})})
    train(job, open_registry(folder / "registry", job.name), reason="for the tests")
    return folder


@pytest.fixture
def trained_registry(trained_once, tmp_path):
    """A copy of that registry at ``tmp_path/registry``; version 1, not promoted."""
    shutil.copytree(trained_once / "registry", tmp_path / "registry")
    return open_registry(tmp_path / "registry", "game-earnings")
