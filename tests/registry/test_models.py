"""The models of a registry, the error for a model that is not there, and commands in hints."""

import shlex

import pytest

from gamesales.errors import NothingPromotedError, UnknownVersionError
from gamesales.registry.models import list_models
from gamesales.registry.refs import Ref, format_command
from gamesales.registry.registry import ModelRegistry
from gamesales.storage.store import LocalStore, open_store
from support.operations import UNFORCED, publish


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with the models alpha and beta-2, and folders and files that are no models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAMESALES_REGISTRY", raising=False)
    store = LocalStore("registry")
    for model in ("beta-2", "alpha"):
        publish(ModelRegistry(store, model))
    for folder in ("empty", "Capital", ".hidden", "gamma/bundles/orphan"):
        (tmp_path / "registry" / folder).mkdir(parents=True)
    (tmp_path / "registry/README.md").touch()
    return store


def refuse(store, model):
    """Return the message and the hint of the error for a model."""
    with pytest.raises(UnknownVersionError) as refused:
        ModelRegistry(store, model).require_model()
    return refused.value.message, refused.value.hint


def test_models_have_events(store):
    """Folders without events are no models."""
    assert ["alpha", "beta-2"] == list_models(store)
    ModelRegistry(store, "alpha").require_model()


def test_missing_model_names_others(store, tmp_path):
    """The error for a missing model lists the models, and suggests a similar one."""
    message = f"no model {{}} in {tmp_path}/registry; found the models alpha, beta-2"
    assert (message.format("alpa"), "Did you mean --name alpha?") == refuse(store, "alpa")
    assert (message.format("other"), "Name one of them: --name MODEL") == refuse(store, "other")


def test_many_models_are_cut(tmp_path):
    """A message lists ten models at most."""
    store = LocalStore(tmp_path)
    for number in range(12):
        publish(ModelRegistry(store, f"m{number:02}"))
    message, _ = refuse(store, "other")
    assert message.endswith("found the models m00, m01, m02, m03, m04, m05, m06, m07, m08, m09 and 2 more")


def test_folder_without_models(tmp_path):
    """A folder without models is no registry, and the error hints at training."""
    (tmp_path / "photos/2026").mkdir(parents=True)
    message, hint = refuse(LocalStore(tmp_path / "photos"), "game-earnings")
    assert f"no model game-earnings in {tmp_path}/photos: the folder has no registered version" == message
    assert f"Train a version: gamesales train --registry {tmp_path}/photos; or give --registry PATH" == hint


def test_folder_of_model(store, tmp_path):
    """If the folder of a model is given, the error names the registry and the model."""
    message, hint = refuse(LocalStore("registry/beta-2"), "game-earnings")
    assert message.endswith("registry/beta-2: this is the folder of a model, not of a registry")
    assert f"The registry is the folder above: --registry {tmp_path}/registry --name beta-2" == hint


def test_models_in_object_store():
    """An object store lists its models too."""
    store = open_store("memory:")
    assert "no model beta in memory:; no version was registered there" == refuse(store, "beta")[0]
    publish(ModelRegistry(store, "alpha"))
    assert (["alpha"], ["alpha"]) == (store.list_folders(), list_models(store))
    assert ("no model beta in memory:; found the model alpha", "Name one of them: --name MODEL") == refuse(
        store, "beta"
    )


def test_bare_word_is_alias(store):
    """A word that is no alias suggests a similar alias, or the model of this name."""
    registry = ModelRegistry(store, "alpha")
    registry.set_alias("champion", 1, "", lambda state, version: UNFORCED)
    publish(ModelRegistry(store, "beta"))
    hints = {
        "champoin": "Did you mean @champion?",
        "beta": "A version of the model beta: beta/4 or beta@champion",
        "trial": "Promote one: gamesales promote 1 --alias trial --name alpha",
    }
    for alias, hint in hints.items():
        with pytest.raises(NothingPromotedError) as refused:
            registry.resolve(Ref("alpha", alias=alias))
        assert hint == refused.value.hint


@pytest.mark.parametrize(
    ("registry", "model", "expected"),
    [
        (None, "game-earnings", ""),
        ("registry/", "game-earnings", ""),
        ("./registry", "other", " --name other"),
        ("{cwd}/registry/", "game-earnings", ""),
        ("my registry/", "game-earnings", " --registry 'my registry'"),
        ("../registry", "game-earnings", " --registry ../registry"),
        ("s3://bucket/shop/", "other", " --registry s3://bucket/shop --name other"),
        ("/", "game-earnings", " --registry /"),
        ("it's", "game-earnings", """ --registry 'it'"'"'s'"""),
    ],
)
def test_command_repeats_options(tmp_path, monkeypatch, registry, model, expected):
    """A command in a hint has the options without which it would use another registry or model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAMESALES_REGISTRY", raising=False)
    registry = registry and registry.replace("{cwd}", str(tmp_path))
    command = format_command("show 4", registry, model)
    assert f"gamesales show 4{expected}" == command
    assert ["gamesales", "show", "4"] == shlex.split(command)[:3]


def test_command_knows_environment(tmp_path, monkeypatch):
    """A registry of the environment is not repeated, and the usual folder then is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAMESALES_REGISTRY", "s3://bucket/shop")
    assert "gamesales versions" == format_command("versions", "s3://bucket/shop/")
    assert "gamesales versions --registry registry" == format_command("versions", "registry/")
