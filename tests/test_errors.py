"""Every failure that is expected has an exit code, a code for programs, and a builtin that it is caught by."""

import copy
import inspect
import pickle
import re

import pytest

from gamesales import errors
from gamesales.errors import GamesalesError

CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, GamesalesError)]
# Exit codes are used by people's scripts (docs/scoring.md); so are the codes that --json prints.
PROMISED = {
    "GamesalesError": (1, "internal", Exception),
    "UsageError": (2, "usage", ValueError),
    "JobFileError": (2, "job_file", ValueError),
    "InputError": (3, "input", ValueError),
    "InputNotFoundError": (3, "input_not_found", FileNotFoundError),
    "ColumnsError": (3, "columns", ValueError),
    "TooManyRejectsError": (3, "too_many_rejects", ValueError),
    "RegistryError": (4, "registry", Exception),
    "UnknownVersionError": (4, "unknown_version", LookupError),
    "NothingPromotedError": (4, "nothing_promoted", LookupError),
    "IntegrityError": (4, "integrity", ValueError),
    "SelfTestError": (4, "self_test", Exception),
    "ParityError": (4, "parity", Exception),
    "GateRefusedError": (5, "gate_refused", Exception),
    "TryAgainError": (7, "try_again", OSError),
}


def test_exit_codes_and_codes_are_those_promised():
    found = {one.__name__: (one.exit_code, one.code) for one in CLASSES}
    assert {name: promise[:2] for name, promise in PROMISED.items()} == found


def test_no_two_classes_share_a_code():
    assert len({one.code for one in CLASSES}) == len(CLASSES)


@pytest.mark.parametrize("error", CLASSES)
def test_the_builtin_that_a_plain_except_names_catches_it(error):
    builtin = PROMISED[error.__name__][2]
    with pytest.raises(builtin, match=r"^expected 1, received 2$") as failure:
        raise error("expected 1, received 2", hint="Type 1")
    assert isinstance(failure.value, GamesalesError)
    assert (failure.value.message, failure.value.hint) == ("expected 1, received 2", "Type 1")


def test_the_tree_at_the_top_of_the_file_is_the_tree():
    """Name, builtin if there is one, exit code, and the parent that the drawing puts it under."""
    drawn, above = {}, []
    for line in errors.__doc__.splitlines():
        found = re.match(r"(?P<stem>[ │├└─]*)(?P<name>\w+Error)\b(?: \((?P<builtin>\w+)\))?\s+(?P<exit>\d)", line)
        if found:
            depth = (len(found["stem"]) - 4) // 4
            own = re.search(r"\d\s+\((\w+)\)", line)
            above[depth:] = [found["name"]]
            builtin = found["builtin"] or (own[1] if own else None)
            drawn[found["name"]] = (above[depth - 1] if depth else None, builtin, int(found["exit"]))
    real = {}
    for one in CLASSES:
        bases = [base for base in one.__bases__ if issubclass(base, GamesalesError)]
        builtins = [base.__name__ for base in one.__bases__ if base.__module__ == "builtins"]
        builtin = next((name for name in builtins if name != "Exception"), None)
        real[one.__name__] = (bases[0].__name__ if bases else None, builtin, one.exit_code)
    # A builtin that the parent brings along is drawn once, and so is that a missing file is a missing file.
    for name, (parent, builtin, code) in drawn.items():
        assert (parent, code) == (real[name][0], real[name][2])
        assert builtin in (None, real[name][1])
    assert set(drawn) == set(real)


@pytest.mark.parametrize("error", CLASSES)
def test_an_error_survives_the_way_between_processes(error):
    for sent in (pickle.loads(pickle.dumps(error("said", hint="hint"))), copy.copy(error("said", hint="hint"))):
        assert (type(sent), sent.message, sent.hint, str(sent)) == (error, "said", "hint", "said")
