"""The public surface, and that importing costs nothing. Which module may import which is held by ``make check``."""

import pkgutil
import subprocess
import sys
import tomllib

import pytest

import gamesales
from support.versions import ROOT

HEAVY = ["joblib", "keras", "onnx", "onnxruntime", "optuna", "pandas", "sklearn", "tensorflow", "tf2onnx"]


def loaded_after(statement, names):
    """Which of these modules a fresh process has loaded after a statement."""
    script = f"{statement}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_the_public_names_are_these_and_no_more():
    """People import them; one less breaks their code, and one more is a promise."""
    assert ["Predictor", "Registry", "__version__", "read_predictions"] == gamesales.__all__


def test_every_public_name_is_there():
    assert gamesales.Registry.__module__ == gamesales.Predictor.__module__ == "gamesales.api"
    assert gamesales.read_predictions.__module__ == "gamesales.api"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"] == gamesales.__version__


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'gamesales' has no attribute 'Model'"):
        _ = gamesales.Model


def test_public_methods_take_what_the_documentation_shows():
    assert {"load"} == {name for name in vars(gamesales.Registry) if not name.startswith("_")}
    assert {"predict", "predict_interval", "coverage", "model", "version", "contract"} == {
        name for name in vars(gamesales.Predictor) if not name.startswith("_")
    }


def test_importing_gamesales_loads_nothing_else():
    assert [] == loaded_after("import gamesales", [*HEAVY, "numpy", "pyarrow", "pydantic", "typer"])


def test_importing_every_module_starts_no_heavy_library():
    """They are imported inside the functions that need them: ``gamesales --help`` must not wait for TensorFlow."""
    modules = [found.name for found in pkgutil.walk_packages(gamesales.__path__, "gamesales.")]
    assert len(modules) > 40
    modules.remove("gamesales.__main__")
    assert [] == loaded_after(f"import {', '.join(modules)}", HEAVY)
