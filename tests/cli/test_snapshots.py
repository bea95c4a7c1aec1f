"""What every command prints, at 60, 80 and 120 columns and in a pipe, with and without color, as snapshots.

A change of the output fails here. If it is right, write new snapshots, read the difference and commit them:

    RENEW_SNAPSHOTS=1 python -m pytest -n0 tests/cli/test_snapshots.py
"""

import io
import os
import re
import shlex
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from gamesales.cli import train as train_module
from gamesales.cli.main import run
from gamesales.cli.render import show_result
from gamesales.cli.terminal import measure
from gamesales.jobs.crossvalidate import CrossValidationResult
from gamesales.jobs.train import TrainingResult
from gamesales.jobs.tune import TuneResult
from support.terminal_world import make_world
from support.terminals import read_screen, terminals

FOLDER = Path(__file__).with_name("snapshots")
WIDTHS = {"60": 60, "80": 80, "120": 120, "pipe": None}
# The commands by the name of their snapshot.
COMMANDS = {
    "versions": "versions",
    "versions-all": "versions --retired --sort mae",
    "versions-none": "versions --where 'mae<1'",
    "show": "show champion",
    "verify": "verify",
    "gc": "gc --keep-newest 1 --keep-days 0 --dry-run",
    "history": "history",
    "compare": "compare 1 3",
    "compare-all": "compare 1 3 --all",
    "alias-list": "alias list",
    "alias-set": "alias set spare 4 --reason 'for the weekend'",
    "alias-delete": "alias delete challenger",
    "evaluate": "evaluate 4 --data data/sales_data_test.csv",
    "promote": "promote 5 --dry-run",
    "promote-refused": "promote 2 --reason 'worse on purpose'",
    "promote-forced": "promote 2 --force --reason 'the champion is wrong about prices'",
    "rollback": "rollback --dry-run",
    "retire": "retire 4 --reason 'nobody uses it'",
    "retire-again": "retire 6 --reason again",
    "sign": "sign 5 --key keys/alice.pem",
    "policy-show": "policy show",
    "policy-sign": "policy sign keys/policy-2-alice-bob-carol.toml --key keys/bob.pem",
    "policy-set": "policy set keys/policy-2-alice-bob-carol.toml --reason 'two approvals'",
    "export": "export 3 --format onnx --output model.onnx",
    "copy": "copy 3 --to other",
    "score": "score drifted.parquet --output new --date 2026-11-25 --shadow challenger",
    "score-explain": "score usual.parquet --output new --date 2026-11-25 --model 5 --explain 3",
    "score-unexplained": "score usual.parquet --output new --date 2026-11-25 --model 1 --explain 3",
    "score-again": "score usual.parquet --output predictions --date 2026-11-22",
    "score-withheld": "score drifted.parquet --output new --date 2026-11-25 --on-drift withhold",
    "score-preview": "score usual.parquet drifted.parquet --output new --date 2026-11-25 --dry-run",
    "score-rejects": "score drifted.parquet --output new.csv --date 2026-11-25 --max-rejects 1",
    "predict": "predict critic_rating=4.5 is_action=1 is_exclusive_to_us=0 is_portable=1 is_role_playing=0 "
    "is_sequel=1 is_sports=0 suitable_for_kids=1 unit_price=99.99",
    "predict-explain": "predict --explain critic_rating=4.5 is_action=1 is_exclusive_to_us=0 is_portable=1 "
    "is_role_playing=0 is_sequel=1 is_sports=0 suitable_for_kids=1 unit_price=59.99",
    "predict-missing": "predict critic_rating=4.5",
    "runs": "runs predictions",
    "report-version": "report champion",
    "report-site": "report --site site --output predictions",
    "vacuum": "vacuum table --dry-run",
    "report": "report --run 2026-11-23 --output predictions --page night.html",
    "backtest": "backtest --predictions predictions --actuals actuals.csv --dry-run",
    "init": "init sales.csv --target total_sales --into store",
    "init-refused": "init sales.csv --target totalsales --into store",
    "contract-check": "contract check drifted.parquet",
    "simulate": "simulate --rows 1 --output one.csv",
    "preprocess": "preprocess data/sales_data_test.csv data/sales_data_test.csv --verbose",
    "help": "--help",
    "mistake-option": "versions --limmit 3",
    "mistake-version": "show 99",
}
# The commands that change the project. Each of their runs has its own copy of the project.
CHANGING = {
    "alias-set",
    "alias-delete",
    "evaluate",
    "promote-refused",
    "promote-forced",
    "retire",
    "sign",
    "policy-set",
    "policy-sign",
}
CHANGING |= {"export", "copy", "score", "score-withheld", "score-rejects", "score-explain", "report", "report-site"}
CHANGING |= {"init", "simulate", "preprocess"}
# Results of commands that train, from documents of real runs.
TRAINED = {
    "train": (TrainingResult, lambda result: train_module._format_training(result, "registry")),
    "tune": (TuneResult, lambda result: train_module._format_tune_result(result, "registry")),
    "crossvalidate": (CrossValidationResult, train_module._format_crossvalidation),
}
# What differs between runs, and what snapshots have instead: as long as it, so that the layout stays.
MASKS = {
    r"\d{8}T\d{6}Z-[0-9a-f]{12}": "20261124T164000Z-0123456789ab",
    r"run-[0-9a-f]{8}": "run-01234567",
    r"\b[0-9a-f]{64}\b": "0123456789abcdef" * 4,
    r"\b(?=\w*[a-f])(?=\w*\d)[0-9a-f]{12}\b": "0123456789ab",
    r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z": "2026-11-24T16:40:00.000000Z",
    r"\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d": "2026-11-24 16:40:00",
    r"\b20\d\d-\d\d-\d\d \d\d:\d\d(?!:)": "2026-11-24 16:40",
    r"\b\d\.\d\d s\b": "0.25 s",
    r"\b\d\.\d s\b": "0.2 s",
    r"\b\d\d\.\d KB\b": "15.9 KB",
}
COLORS = {
    "1": "bold",
    "2": "dim",
    "1;32": "green",
    "32": "green",
    "36": "cyan",
    "33": "yellow",
    "31": "red",
    "1;31": "red",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The project, made once. A command that changes it works on a copy."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LOGNAME", "owner")
        patch.delenv("GAMESALES_REGISTRY", raising=False)
        make_world(folder)
        yield folder


def print_on(width, print_output, *, color=False):
    """Print something on a terminal of a width, or in a pipe. Return the exit code and what is on both streams."""
    if width is None:
        with pytest.MonkeyPatch.context() as patch:
            out, err = io.StringIO(), io.StringIO()
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            code = print_output()
    else:
        with terminals(width, color=color) as (out, err):
            code = print_output()
    return code, mask(read_screen(out)), mask(read_screen(err))


@contextmanager
def enter_project(world, tmp_path, name):
    """Make the project the current folder; a copy of it if the command changes it."""
    changes = name in CHANGING
    folder = tmp_path / "copy" if changes else world
    if changes:
        shutil.copytree(world, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LOGNAME", "owner")
        patch.delenv("GAMESALES_REGISTRY", raising=False)
        yield
    if changes:
        shutil.rmtree(folder)


def mask(text):
    for pattern, replacement in MASKS.items():
        text = re.sub(pattern, replacement, text)
    return text


def print_command(name):
    """Return a function that runs a command, or shows the result of a command that trains."""
    if name in COMMANDS:
        return lambda: run(shlex.split(COMMANDS[name]))
    kind, format_result = TRAINED[name]
    result = TypeAdapter(kind).validate_json((FOLDER / f"{name}.json").read_bytes())
    return lambda: show_result(result, format_result, as_json=False) or 0


def compare(path, text):
    """Compare a text with its snapshot, or renew the snapshot."""
    if os.environ.get("RENEW_SNAPSHOTS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, "see the top of this file"


@pytest.mark.parametrize("name", [*COMMANDS, *TRAINED])
def test_output(world, tmp_path, name):
    """A command prints its snapshot at every width. No line is too wide, and color changes nothing but the color."""
    for folder, width in WIDTHS.items():
        with enter_project(world, tmp_path, name):
            code, out, err = print_on(width, print_command(name))
        end = f"[exit code {code}]\n" if code else ""
        compare(FOLDER / folder / f"{name}.txt", f"$ gamesales {COMMANDS.get(name, name)}\n{out}{err}{end}")
        assert "\x1b" not in out + err
        if width:
            check_width(out + err, width)
    with enter_project(world, tmp_path, name):
        _, *painted = print_on(120, print_command(name), color=True)
    text = "".join(painted)
    assert re.sub(r"\x1b\[[\d;]*m", "", text) == out_of_snapshot(name)
    colored = FOLDER / "color" / f"{name}.txt"
    if "\x1b" in text:
        compare(colored, name_colors(text))
    elif os.environ.get("RENEW_SNAPSHOTS"):
        colored.unlink(missing_ok=True)
    assert ("\x1b" in text) == colored.exists()


def out_of_snapshot(name):
    """Return what a command prints at 120 columns, without the lines that the test adds."""
    text = (FOLDER / "120" / f"{name}.txt").read_text(encoding="utf-8").partition("\n")[2]
    return re.sub(r"\[exit code \d\]\n$", "", text)


def name_colors(text):
    """Write colors as names: ``<green>champion</>``."""
    return re.sub(r"\x1b\[([\d;]*)m", lambda code: "</>" if code[1] == "0" else f"<{COLORS[code[1]]}>", text)


def check_width(text, width):
    """Check that no line is wider than the terminal, unless it ends with a path, a digest or a command."""
    for line in text.splitlines():
        assert measure(line) <= width or re.search(r"(gamesales [a-z][^;]*;?|\S*[/.]\S*|[0-9a-f]{64})$", line), line


def test_snapshots_are_in_use():
    """There is no snapshot of a command that is gone."""
    names = {*COMMANDS, *TRAINED}
    assert {path.stem for path in FOLDER.glob("*/*.txt")} <= names


def test_wide_is_as_in_a_pipe(world, tmp_path):
    """With --wide, a terminal shows what a pipe gets."""
    for name in ("versions", "history", "show"):
        with enter_project(world, tmp_path, name):
            wide = print_on(60, lambda line=COMMANDS[name]: run([*line.split(), "--wide"]))
            assert wide == print_on(None, print_command(name))
