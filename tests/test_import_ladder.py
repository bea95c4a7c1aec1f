"""Cheap imports. ``make check`` checks which module may import which."""

import pkgutil
import subprocess
import sys

import gamesales

HEAVY = ["joblib", "keras", "onnx", "onnxruntime", "optuna", "pandas", "sklearn", "tensorflow", "tf2onnx"]


def loaded_after(statement, names):
    """Return which of these modules a fresh process has loaded after a statement."""
    script = f"{statement}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_import_loads_nothing_else():
    """Importing gamesales loads no library."""
    assert [] == loaded_after("import gamesales", [*HEAVY, "numpy", "pyarrow", "pydantic", "typer"])


def test_modules_load_no_heavy_library():
    """Heavy libraries load inside functions, so that ``gamesales --help`` does not wait for TensorFlow."""
    modules = [module.name for module in pkgutil.walk_packages(gamesales.__path__, "gamesales.")]
    assert len(modules) > 40
    modules.remove("gamesales.__main__")
    assert [] == loaded_after(f"import {', '.join(modules)}", HEAVY)
