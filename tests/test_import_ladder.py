"""The public names, and cheap imports. ``make check`` checks which module may import which."""

import pkgutil
import subprocess
import sys
import tomllib

import pytest

import gamesales
from support.versions import ROOT

HEAVY = ["joblib", "keras", "onnx", "onnxruntime", "optuna", "pandas", "sklearn", "tensorflow", "tf2onnx"]


def loaded_after(statement, names):
    """Return which of these modules a fresh process has loaded after a statement."""
    script = f"{statement}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_public_names():
    """People import these names. A missing name breaks their code, and a new name is a promise."""
    assert ["Predictor", "Registry", "__version__", "read_predictions", "score"] == gamesales.__all__


def test_public_names_exist():
    """Every public name can be imported, and the release is the release of the project file."""
    assert gamesales.Registry.__module__ == gamesales.Predictor.__module__ == "gamesales.api"
    assert gamesales.read_predictions.__module__ == gamesales.score.__module__ == "gamesales.api"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"] == gamesales.__version__


def test_unknown_name():
    """An unknown name is an AttributeError."""
    with pytest.raises(AttributeError, match="module 'gamesales' has no attribute 'Model'"):
        _ = gamesales.Model


def test_public_methods():
    """The public classes have these methods and properties."""
    assert {"load"} == {name for name in vars(gamesales.Registry) if not name.startswith("_")}
    assert {"predict", "predict_interval", "score", "coverage", "model", "version", "contract"} == {
        name for name in vars(gamesales.Predictor) if not name.startswith("_")
    }


def test_import_loads_nothing_else():
    """Importing gamesales loads no library."""
    assert [] == loaded_after("import gamesales", [*HEAVY, "numpy", "pyarrow", "pydantic", "typer"])


def test_modules_load_no_heavy_library():
    """Heavy libraries load inside functions, so that ``gamesales --help`` does not wait for TensorFlow."""
    modules = [module.name for module in pkgutil.walk_packages(gamesales.__path__, "gamesales.")]
    assert len(modules) > 40
    modules.remove("gamesales.__main__")
    assert [] == loaded_after(f"import {', '.join(modules)}", HEAVY)
