"""Every expected error has an exit code, a code for programs, and a builtin that catches it."""

import copy
import errno
import inspect
import pickle
import re
import shlex
import subprocess
import sys

import pytest

from gamesales import errors
from gamesales.errors import GamesalesError, format_install
from support.versions import ROOT

SOURCES = sorted((ROOT / "gamesales").rglob("*.py"))
CLASSES = [error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, GamesalesError)]
# People's scripts use the exit codes (docs/guides/score.md) and the codes that --json prints.
PROMISED = {
    "GamesalesError": (1, "internal", Exception),
    "UsageError": (2, "usage", ValueError),
    "JobFileError": (2, "job_file", ValueError),
    "InputError": (3, "input", ValueError),
    "InputNotFoundError": (3, "input_not_found", FileNotFoundError),
    "ColumnsError": (3, "columns", ValueError),
    "TooManyRejectsError": (3, "too_many_rejects", ValueError),
    "TooManyOutsideError": (3, "too_many_outside", ValueError),
    "RegistryError": (4, "registry", Exception),
    "UnknownVersionError": (4, "unknown_version", LookupError),
    "NothingPromotedError": (4, "nothing_promoted", LookupError),
    "IntegrityError": (4, "integrity", ValueError),
    "NoReferenceTitlesError": (4, "no_reference_titles", LookupError),
    "SelfTestError": (4, "self_test", Exception),
    "ParityError": (4, "parity", Exception),
    "GateRefusedError": (5, "gate_refused", Exception),
    "NotApprovedError": (5, "not_approved", Exception),
    "TryAgainError": (7, "try_again", OSError),
}


def test_exit_codes_and_codes():
    """Exit codes and codes are as promised."""
    actual = {error.__name__: (error.exit_code, error.code) for error in CLASSES}
    assert {name: promise[:2] for name, promise in PROMISED.items()} == actual


def test_codes_are_unique():
    """No two classes share a code."""
    assert len({error.code for error in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("error", CLASSES)
def test_builtin_catches_error(error):
    """A plain except of the builtin catches the error."""
    builtin = PROMISED[error.__name__][2]
    with pytest.raises(builtin, match=r"^expected 1, received 2$") as failure:
        raise error("expected 1, received 2", hint="Type 1")
    assert isinstance(failure.value, GamesalesError)
    assert (failure.value.message, failure.value.hint) == ("expected 1, received 2", "Type 1")


def test_drawn_tree():
    """The drawing has the name, builtin, exit code and parent of each class."""
    drawn, above = {}, []
    for line in errors.__doc__.splitlines():
        match = re.match(r"(?P<stem>[ │├└─]*)(?P<name>\w+Error)\b(?: \((?P<builtin>\w+)\))?\s+(?P<exit>\d)", line)
        if match:
            depth = (len(match["stem"]) - 4) // 4
            own = re.search(r"\d\s+\((\w+)\)", line)
            above[depth:] = [match["name"]]
            builtin = match["builtin"] or (own[1] if own else None)
            drawn[match["name"]] = (above[depth - 1] if depth else None, builtin, int(match["exit"]))
    real = {}
    for error in CLASSES:
        bases = [base for base in error.__bases__ if issubclass(base, GamesalesError)]
        builtins = [base.__name__ for base in error.__bases__ if base.__module__ == "builtins"]
        builtin = next((name for name in builtins if name != "Exception"), None)
        real[error.__name__] = (bases[0].__name__ if bases else None, builtin, error.exit_code)
    # A builtin that the parent inherits is drawn only once.
    for name, (parent, builtin, code) in drawn.items():
        assert (parent, code) == (real[name][0], real[name][2])
        assert builtin in (None, real[name][1])
    assert set(drawn) == set(real)


@pytest.mark.parametrize("error", CLASSES)
def test_error_survives_pickling(error):
    """An error can go to another process."""
    for sent in (pickle.loads(pickle.dumps(error("said", hint="hint"))), copy.copy(error("said", hint="hint"))):
        assert (type(sent), sent.message, sent.hint, str(sent)) == (error, "said", "hint", "said")


def test_exit_codes_without_class():
    """Codes without an error class are drawn below the tree, and no class has them."""
    codes = {name: getattr(errors, name) for name in dir(errors) if name.startswith("EXIT_")}
    assert {
        "EXIT_CONDITION_NOT_MET": 6,
        "EXIT_WITHHELD": 8,
        "EXIT_INTERRUPTED": 130,
        "EXIT_TERMINATED": 143,
    } == codes
    drawn = {name: int(code) for name, code in re.findall(r"(EXIT_\w+) +(\d+)", errors.__doc__)}
    assert codes == drawn
    assert not set(codes.values()) & {error.exit_code for error in CLASSES}


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (PermissionError(errno.EACCES, "denied", "file"), errors.TryAgainError),
        (NotADirectoryError(errno.ENOTDIR, "not a folder", "file"), errors.UsageError),
        (MemoryError(), errors.TryAgainError),
        (ModuleNotFoundError("no", name="tensorflow"), errors.UsageError),
        (errors.InputError("wrong"), errors.InputError),
        (FileNotFoundError(errno.ENOENT, "no file", "file"), FileNotFoundError),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_expected_failures(raised, expected):
    """A failure of the machine becomes an error of the tree. A bug keeps its type."""
    with pytest.raises(expected) as failure, errors.expect_failures():
        raise raised
    assert expected is type(failure.value)
    assert failure.value is raised or failure.value.__cause__ is raised


def test_hints_name_this_python():
    """A hint that installs a package names the Python that runs: it works in a checkout and anywhere else."""
    command = format_install("gamesales[lake]")
    assert sys.executable == shlex.split(command)[0]
    subprocess.run([*shlex.split(command), "--dry-run", "--no-index", "--quiet"], check=True)
    others = [path.name for path in SOURCES if "pip install" in path.read_text(encoding="utf-8")]
    assert ["errors.py"] == others
