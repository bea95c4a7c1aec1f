"""The public names: what they are, where they are documented, and what they load."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

import gamesales
from gamesales.cli.commands import MODULE_OF, CommandGroup, load_command
from support.processes import loaded_by
from support.versions import DATA, INTERVAL, ROOT, publish_simple

NAMES = [
    "Predictor",
    "Registry",
    "__version__",
    "backtest",
    "check_contract",
    "crossvalidate",
    "errors",
    "init",
    "preprocess",
    "preview_run",
    "read_predictions",
    "release_run",
    "report_run",
    "runs",
    "score",
    "simulate",
    "train",
    "tune",
    "vacuum",
]
PAGE = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")


def list_members():
    """Every public function, class, method and property, by its name."""
    members = {name: getattr(gamesales, name) for name in NAMES if not name.startswith("_") and name != "errors"}
    for kind in (gamesales.Predictor, gamesales.Registry):
        members |= {f"{kind.__name__}.{key}": getattr(kind, key) for key in dir(kind) if not key.startswith("_")}
    return members


MEMBERS = list_members()


def test_public_names():
    """People import these names. A missing name breaks their code, and a new name is a promise."""
    assert NAMES == gamesales.__all__ == dir(gamesales)


def test_stub():
    """Type checkers see the same names, from the same modules."""
    tree = ast.parse((ROOT / "gamesales/__init__.pyi").read_text(encoding="utf-8"))
    imports = {node.names[0].asname: node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert {name: getattr(gamesales, name).__module__ for name in NAMES if name not in ("__version__", "errors")} == {
        name: module for name, module in imports.items() if name != "errors"
    }
    (listed,) = (ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))
    assert NAMES == listed


def test_release():
    """The release is the release of the project file."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"] == gamesales.__version__


def test_unknown_name():
    """An unknown name is an AttributeError."""
    with pytest.raises(AttributeError, match="module 'gamesales' has no attribute 'Model'"):
        _ = gamesales.Model


def test_public_methods():
    """The public classes have these methods and properties."""
    registry = "compare copy delete_alias evaluate export gc history list_aliases load name path predict promote"
    registry += " report report_site retire rollback set_alias set_policy show show_policy sign sign_policy verify"
    registry += " versions"
    assert registry.split() == [name for name in dir(gamesales.Registry) if not name.startswith("_")]
    predictor = "contract coverage explain model predict predict_interval score version"
    assert predictor.split() == [name for name in dir(gamesales.Predictor) if not name.startswith("_")]


@pytest.mark.parametrize("name", MEMBERS)
def test_docstring(name):
    """A docstring describes every argument, and no other."""
    member = MEMBERS[name]
    text = inspect.getdoc(member)
    assert re.match(r"[A-Z].*\.\n|[A-Z].*\.$", text.partition("\n")[0] + "\n")
    if not callable(member):
        return
    described = re.findall(r"^    (\w+): ", text.partition("Args:\n")[2].partition("\n\n")[0], re.MULTILINE)
    arguments = [argument for argument in inspect.signature(member).parameters if argument != "self"]
    if name not in ("Predictor", "preview_run"):  # made by Registry.load; the arguments of score
        assert arguments == described


def test_commands_have_calls():
    """The page has a call for each command, and each call is a public name that takes the arguments."""
    commands = set()
    for name in MODULE_OF:
        command = load_command(name)
        commands |= {f"{name} {part}" for part in command.commands} if isinstance(command, CommandGroup) else {name}
    rows = re.findall(
        r"^\| `([a-z]+(?: (?:set|delete|list|show|sign|check)(?= |`))?).*?\| `(\S+)\((.*?)\)`", PAGE, re.MULTILINE
    )
    assert commands == {name for name, _, _ in rows}
    for _, call, text in rows:
        owner, _, method = call.rpartition(".")
        member = MEMBERS[f"{owner.capitalize()}.{method}" if owner else method]
        required = ["self"] if owner else []
        given = [word for word in text.split(", ") if word]
        inspect.signature(member).bind(
            *required,
            *(word for word in given if "=" not in word),
            **{key: value for key, _, value in (word.partition("=") for word in given if "=" in word)},
        )


def test_names_are_documented():
    """The page mentions every public name, and its examples use only public names."""
    missing = [name for name in NAMES if not name.startswith("_") and name not in PAGE]
    assert missing == []
    imported = {name for line in re.findall(r"from gamesales import (.*)", PAGE) for name in line.split(", ")}
    assert imported <= set(NAMES)


def test_examples_of_the_page(simple_registry, tmp_path, monkeypatch):
    """The examples of the page run in their order."""
    monkeypatch.chdir(tmp_path)
    publish_simple(simple_registry, bias=50.0, interval=INTERVAL)
    shutil.copytree(DATA, tmp_path / "data")
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert 4 == len(blocks)
    for block in blocks:
        exec(block, names)
    assert 2 == names["champion"].version


def test_star_import():
    """A star import brings the public names, also after a job has loaded packages of the same kind."""
    script = (
        "import gamesales.backtesting.verdict, gamesales.jobs.train\n"
        "from gamesales import *\n"
        f"print(*[name for name in {NAMES} if name not in globals()])\n"
        "assert callable(backtest) and callable(train) and errors.GamesalesError"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "" == done.stdout.strip()


@pytest.mark.parametrize(
    ("code", "libraries"),
    [
        ("import gamesales; dir(gamesales); gamesales.errors.UsageError", set()),
        ("from gamesales import Registry; Registry('registry').versions()", set()),
        ("from gamesales import Registry; Registry('registry').history(limit=1)._repr_html_()", set()),
        ("from gamesales import init, check_contract, train, tune, crossvalidate, preprocess, simulate", set()),
        ("from gamesales import Registry; Registry('registry').load(1)", {"numpy", "pyarrow", "onnxruntime"}),
    ],
)
def test_light_imports(simple_registry, tmp_path, code, libraries):
    """A name loads no more than its work needs."""
    heavy = {
        "numpy",
        "pyarrow",
        "onnxruntime",
        "pydantic",
        "typer",
        "pandas",
        "keras",
        "tensorflow",
        "sklearn",
        "optuna",
    }
    assert libraries == loaded_by(tmp_path, code) & heavy


@pytest.mark.slow
def test_types(tmp_path):
    """A strict type checker accepts a script that uses the API, and finds a misspelled argument and a wrong type."""
    script = """
from datetime import date
import pyarrow as pa
from gamesales import Registry, preview_run, score, train

registry = Registry("registry")
number: int = train("jobs/train.toml", reason="a test").version
registry.promote(number, reason="better").findings
names: list[str] = [row.actor for row in registry.versions(since=date(2026, 1, 1), where="mae<5000")]
reports: list[int] = [report.rows_in for report in score("a.csv", "out", workers=2)]
rows: list[int] = [preview.rows for preview in preview_run("a.csv", "out", workers=2)]
registry.load(1).predict([{"critic_rating": 4.5}])
registry.load(1).predict({"critic_rating": [4.5]})
registry.load("champion").predict(pa.table({}))
"""
    wrong = """
registry.promte(1)
score("a.csv", "out", wokers=2)
registry.load(1).predict(3)
train(3)
"""
    path = tmp_path / "script.py"
    for text, problems in ((script, 0), (script + wrong, 4)):
        path.write_text(text)
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-error-summary",
            "--ignore-missing-imports",
            str(path),
        ]
        options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
        done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
        assert problems == len([line for line in done.stdout.splitlines() if ": error:" in line]), done.stdout
