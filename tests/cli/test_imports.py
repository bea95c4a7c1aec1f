"""The modules that a fresh process loads: scoring needs no training library, and an import is cheap."""

import os
from importlib.util import find_spec

import pyarrow as pa
import pytest
from pyarrow import parquet

from gamesales.cli.commands import MODULE_OF
from gamesales.jobs.loading import open_registry
from support.processes import loaded_after, loaded_by
from support.runs import GOOD, csv_line, put_column, read_rejects, written_csv
from support.versions import FEATURES, HOLDOUT, publish_simple, titles_table

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


COMMANDS = {
    "score csv to csv": ("score", "t.csv", "--output", "out.csv"),
    "score csv to parquet": ("score", "t.csv", "--output", "out.parquet", "--json"),
    "score latin to folder": ("score", "latin.csv", "--output", "out"),
    "score parquet to folder": ("score", "t.parquet", "--output", "other", "--date", "2026-11-24"),
    "score parquet to csv": ("score", "t.parquet", "--output", "times.csv", "--workers", "2", "--date", "2026-11-24"),
    "runs": ("runs", "other"),
    "report on parquet": ("report", "--run", "2026-11-24", "--output", "other", "--page", "other.html"),
    "report on csv": ("report", "--run", "2026-11-24", "--output", "times.csv", "--page", "times.html"),
    "site": ("report", "--site", "site", "--output", "other"),
    "predict": ("predict", *(f"{name}={cell}" for name, cell in zip(FEATURES, GOOD, strict=True))),
    "versions": ("versions",),
    "show": ("show", "1"),
    "history": ("history",),
    "compare": ("compare", "1", "1"),
    "alias list": ("alias", "list"),
    "verify": ("verify",),
    "promote the champion": ("promote", "1"),
    "promote against a champion": ("promote", "2"),
    "evaluate": ("evaluate", "1", "--data", str(HOLDOUT)),
    "help": ("--help",),
}
VALUES = dict(zip(FEATURES, ([float(cell)] for cell in GOOD), strict=True))
API = f'from gamesales import Registry\nRegistry("registry").load("@champion").predict({VALUES!r})'
EVERY_MODULE = """
import importlib, pkgutil, gamesales
for module in pkgutil.walk_packages(gamesales.__path__, "gamesales."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
STEPS = {"API": API, **{name: command(*arguments) for name, arguments in COMMANDS.items()}, "modules": EVERY_MODULE}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that take every path of scoring: good rows, rejects of all kinds, text and times; and a registry."""
    folder = tmp_path_factory.mktemp("folder")
    rows = [[*GOOD, "007"], [*csv_line(unit_price="x"), "8"], ["malformed"], [*GOOD, "\N{WAVING HAND SIGN}"]]
    (folder / "t.csv").write_bytes(written_csv([[*FEATURES, "title_id"], *rows]))
    (folder / "latin.csv").write_bytes(written_csv([[*FEATURES, "title_id"], *rows]) + b"\xe9\n")
    times = {"s": pa.array([1] * 3, pa.timestamp("s")), "ns": pa.array([1] * 3, pa.timestamp("ns", "UTC"))}
    table = titles_table(3, title=pa.array(["a", None, "b"]).dictionary_encode(), **times)
    parquet.write_table(put_column(table, "unit_price", [1.0, None, 2.0]), folder / "t.parquet")
    registry = open_registry(folder / "registry", "game-earnings")
    for bias in (0.0, 1.0):
        publish_simple(registry, bias)
    registry.set_alias("champion", 1, "for a test", lambda state, version: {"findings": [], "forced": False})
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    """The modules that a process holds after each step. A module stays, so the first step that has it loads it."""
    home = folder / "home"
    home.mkdir()
    return loaded_after(folder, STEPS, env={**os.environ, "HOME": str(home)})


@pytest.mark.parametrize("step", STEPS)
def test_no_training_library_is_loaded(loaded, step):
    """The Python API, commands around scoring, and importing every module load no training library."""
    assert "gamesales" in loaded[step]
    assert loaded[step] & set(TRAINING) == set()


def test_second_version_is_promoted(folder, loaded):
    """The promotion against a champion works."""
    assert open_registry(folder / "registry", "game-earnings").read_state().target_of("champion") == 2


def test_times_are_rejected_without_pandas(folder, loaded):
    """Rejected times of any unit load no pandas. Arrow's own as_py would."""
    assert "pandas" not in loaded["score parquet to csv"]
    record = read_rejects(folder / "times.csv.rejects.csv")[0]["record"]
    assert record["ns"] == "1970-01-01 00:00:00.000000001Z"


def test_commands_write_nothing_at_home(folder, loaded):
    """ONNX Runtime, by default, writes usage reports to the home folder and sends them."""
    assert (folder / "out.csv").is_file()
    assert not list((folder / "home").rglob("*"))


HEAVY = {"numpy", "pyarrow", "onnxruntime", "typer", "rich", "pydantic", *TRAINING}


@pytest.mark.parametrize("code", ["import gamesales", "import gamesales.errors", "from gamesales import __version__"])
def test_import_is_cheap(tmp_path, code):
    """Importing gamesales loads no heavy library."""
    loaded = loaded_by(tmp_path, code)
    assert "gamesales" in loaded
    assert loaded & HEAVY == set()


HELPS = [["--help"], *([name, "--help"] for name in MODULE_OF), ["alias", "set", "--help"]]


def test_help_is_cheap(tmp_path):
    """The help of the program and of each command needs Typer, and neither Rich nor a library of the commands."""
    code = "\n".join(command(*words) for words in HELPS)
    loaded = loaded_by(tmp_path, code)
    assert {"typer"} == loaded & HEAVY


def test_plain_command_needs_no_typer(folder, loaded):
    """Commands with plain options load no Typer, and commands that only read the log load no NumPy."""
    code = "\n".join(command(*words) for words in (["versions"], ["show", "1"], ["history", "--json"]))
    assert loaded_by(folder, code) & HEAVY == set()
    assert loaded_by(folder, command(*COMMANDS["predict"])) & HEAVY == {"numpy", "pyarrow", "onnxruntime"}
