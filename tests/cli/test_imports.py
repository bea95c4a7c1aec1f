"""The modules that a fresh process loads: scoring needs no training library, and an import is cheap."""

from importlib.util import find_spec

import pyarrow as pa
import pytest
from pyarrow import parquet

from support.processes import loaded_by
from support.runs import GOOD, csv_line, put_column, read_rejects, written_csv
from support.versions import FEATURES, HOLDOUT, titles_table

TRAINING = (
    "tensorflow",
    "keras",
    "pandas",
    "sklearn",
    "joblib",
    "matplotlib",
    "onnx",
    "tf2onnx",
    "jinja2",
    "h5py",
    "scipy",
    "optuna",
)


def command(*arguments):
    return f"from gamesales.cli.main import run\nassert run({list(arguments)!r}) == 0"


@pytest.mark.parametrize("name", TRAINING)
def test_training_library_is_installed(name):
    """The training libraries are installed. Otherwise the tests below would prove nothing."""
    assert find_spec(name)


@pytest.fixture
def titles(tmp_path, simple_registry):
    """Files that take every path of scoring: good rows, rejects of all kinds, text and times."""
    rows = [[*GOOD, "007"], [*csv_line(unit_price="x"), "8"], ["malformed"], [*GOOD, "\N{WAVING HAND SIGN}"]]
    (tmp_path / "t.csv").write_bytes(written_csv([[*FEATURES, "title_id"], *rows]))
    (tmp_path / "latin.csv").write_bytes(written_csv([[*FEATURES, "title_id"], *rows]) + b"\xe9\n")
    times = {"s": pa.array([1] * 3, pa.timestamp("s")), "ns": pa.array([1] * 3, pa.timestamp("ns", "UTC"))}
    table = titles_table(3, title=pa.array(["a", None, "b"]).dictionary_encode(), **times)
    parquet.write_table(put_column(table, "unit_price", [1.0, None, 2.0]), tmp_path / "t.parquet")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "t.csv", "--output", "out.csv"),
        ("score", "t.csv", "--output", "out.parquet", "--json"),
        ("score", "latin.csv", "--output", "out"),
        ("score", "t.parquet", "--output", "out"),
        ("score", "t.parquet", "--output", "out.csv", "--workers", "2"),
        ("predict", *(f"{name}={cell}" for name, cell in zip(FEATURES, GOOD, strict=True))),
        ("versions",),
        ("show", "1"),
        ("history",),
        ("compare", "1", "1"),
        ("alias", "list"),
        ("verify",),
        ("promote", "1"),
        ("evaluate", "1", "--data", str(HOLDOUT)),
        ("--help",),
    ],
    ids=" ".join,
)
def test_command_loads_no_training_library(titles, arguments):
    """Commands around scoring load no training library."""
    loaded = loaded_by(titles, command(*arguments))
    assert "gamesales" in loaded
    assert loaded & set(TRAINING) == set()


def test_promotion_loads_no_training_library(titles, simple_registry):
    """A promotion against a champion loads no training library."""
    from support.versions import publish_simple

    publish_simple(simple_registry, bias=1.0)
    assert loaded_by(titles, command("promote", "2")) & set(TRAINING) == set()
    assert simple_registry.read_state().target_of("champion") == 2


def test_api_loads_no_training_library(titles):
    """The Python API loads no training library."""
    values = dict(zip(FEATURES, ([float(cell)] for cell in GOOD), strict=True))
    code = f'from gamesales import Registry\nRegistry("registry").load("@champion").predict({values!r})'
    assert loaded_by(titles, code) & set(TRAINING) == set()


def test_rejected_times_load_no_pandas(titles):
    """Rejected times of any unit load no pandas. Arrow's own as_py would."""
    assert "pandas" not in loaded_by(titles, command("score", "t.parquet", "--output", "out.csv"))
    record = read_rejects(titles / "out.csv.rejects.csv")[0]["record"]
    assert record["ns"] == "1970-01-01 00:00:00.000000001Z"


HEAVY = {"numpy", "pyarrow", "onnxruntime", "typer", "rich", "pydantic", *TRAINING}


@pytest.mark.parametrize("code", ["import gamesales", "import gamesales.errors", "from gamesales import __version__"])
def test_import_is_cheap(tmp_path, code):
    """Importing gamesales loads no heavy library."""
    loaded = loaded_by(tmp_path, code)
    assert "gamesales" in loaded
    assert loaded & HEAVY == set()


def test_modules_load_no_training_library(tmp_path):
    """Importing every module loads no training library."""
    code = """
import importlib, pkgutil, gamesales
for module in pkgutil.walk_packages(gamesales.__path__, "gamesales."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
    assert loaded_by(tmp_path, code) & set(TRAINING) == set()


def test_scoring_writes_nothing_at_home(titles, monkeypatch):
    """ONNX Runtime, by default, writes usage reports to the home folder and sends them."""
    home = titles / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    loaded_by(titles, command("score", "t.csv", "--output", "out.csv"))
    assert (titles / "out.csv").is_file()
    assert not list(home.rglob("*"))
