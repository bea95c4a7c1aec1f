"""Every failure that gamesales expects, and every exit code of a command.

    GamesalesError                       1   a bug in gamesales, unless a subclass says otherwise
    ├── UsageError (ValueError)          2   the command line is wrong
    │   └── JobFileError                 2   a job file or the contract is wrong
    ├── InputError (ValueError)          3   an input can't be used; nothing was published
    │   ├── InputNotFoundError           3   the file does not exist, or the folder is empty
    │   ├── ColumnsError                 3   columns are missing, duplicate or of a wrong type
    │   ├── TooManyRejectsError          3   more rows were rejected than the run allows
    │   └── TooManyOutsideError          3   more rows are outside the training range than the run allows
    ├── RegistryError                    4   the registry can't serve the request
    │   ├── UnknownVersionError          4   (LookupError) the model or version does not exist
    │   ├── NothingPromotedError         4   (LookupError) the alias names no version
    │   ├── IntegrityError               4   (ValueError) bytes differ from the recorded digest
    │   ├── NoReferenceTitlesError       4   (LookupError) the version can't explain its predictions
    │   ├── SelfTestError                4   the golden rows do not reproduce
    │   └── ParityError                  4   the scoring graph and the Keras network disagree
    ├── GateRefusedError                 5   the version may not be promoted
    ├── NotApprovedError                 5   signatures that a policy or a host requires are missing
    └── TryAgainError (OSError)          7   could not run now: disk full, no permission, an input that changed

    Exit codes without an error class:
        EXIT_CONDITION_NOT_MET           6   the result is published, but a condition of the job is not met
        EXIT_WITHHELD                    8   the result is complete, but withheld because of drift
        EXIT_INTERRUPTED               130   Ctrl-C
        EXIT_TERMINATED                143   SIGTERM

A message says what was expected, what was found and where. The hint says what to type next.

A warning does not stop a command: ``warn`` logs it, and the command line prints it on stderr.
"""

import errno
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

LOGGER = logging.getLogger("gamesales")

EXIT_CONDITION_NOT_MET = 6
EXIT_WITHHELD = 8
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

# The disk, the permissions or the machine refuse now, and may not refuse later.
_TRANSIENT = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EFBIG,
    errno.ENOLCK,
    errno.EBUSY,
    errno.ESTALE,
}
# The path of an argument is wrong.
_WRONG_PATH = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return a guess for a misspelt word, as ``" (did you mean --output?)"``; empty if nothing is similar."""
    from difflib import get_close_matches

    matches = get_close_matches(word, list(choices), n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def warn(message: str) -> None:
    """Report a problem that does not stop the command."""
    LOGGER.warning("%s", message)


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Yield the list to which every warning of the body is added. The warnings are logged as usual."""
    handler = _WarningList()
    LOGGER.addHandler(handler)
    try:
        yield handler.messages
    finally:
        LOGGER.removeHandler(handler)


class _WarningList(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class GamesalesError(Exception):
    """The root of the tree. ``except GamesalesError`` catches every expected failure."""

    exit_code = 1
    code = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(GamesalesError, ValueError):
    """The command line, or an argument of the Python API, is wrong."""

    exit_code = 2
    code = "usage"


class JobFileError(UsageError):
    """A job file or a contract has a wrong, missing or unknown key."""

    code = "job_file"


class InputError(GamesalesError, ValueError):
    """An input can't be used."""

    exit_code = 3
    code = "input"


class InputNotFoundError(InputError, FileNotFoundError):
    """An input does not exist, or a folder has no files to read."""

    code = "input_not_found"


class ColumnsError(InputError):
    """Columns are missing, duplicate, reserved or not numeric."""

    code = "columns"


class TooManyRejectsError(InputError):
    """More rows were rejected than the run allows."""

    code = "too_many_rejects"


class TooManyOutsideError(InputError):
    """More rows are outside the training range than the run allows."""

    code = "too_many_outside"


class RegistryError(GamesalesError):
    """The registry can't serve the request."""

    exit_code = 4
    code = "registry"


class UnknownVersionError(RegistryError, LookupError):
    """The registry has no such model, version or alias."""

    code = "unknown_version"


class NothingPromotedError(RegistryError, LookupError):
    """The alias names no version."""

    code = "nothing_promoted"


class IntegrityError(RegistryError, ValueError):
    """Bytes in the registry differ from the digest in its log."""

    code = "integrity"


class NoReferenceTitlesError(RegistryError, LookupError):
    """A version has no reference titles, so its predictions can't be explained."""

    code = "no_reference_titles"


class SelfTestError(RegistryError):
    """A version does not reproduce its golden rows on this machine."""

    code = "self_test"


class ParityError(RegistryError):
    """The scoring graph and the Keras network give different predictions."""

    code = "parity"


class GateRefusedError(GamesalesError):
    """The gate refused the promotion.

    Attributes:
        evidence: The comparison that the log would have kept.
    """

    exit_code = 5
    code = "gate_refused"

    def __init__(self, message: str, *, hint: str = "", evidence: Mapping[str, object] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.evidence = dict(evidence or {})


class NotApprovedError(GamesalesError):
    """The signatures that a policy or a scoring host requires are missing."""

    exit_code = 5
    code = "not_approved"


class TryAgainError(GamesalesError, OSError):
    """The command could not run now and may succeed later."""

    exit_code = 7
    code = "try_again"


@contextmanager
def expect_failures() -> Iterator[None]:
    """Raise the expected failures of the body as errors of the tree. A bug keeps its type and its traceback.

    Raises:
        TryAgainError: The disk, the permissions or the memory refuse now.
        UsageError: A path is wrong, or a library is not installed.
    """
    try:
        yield
    except GamesalesError:
        raise
    except (OSError, MemoryError, ModuleNotFoundError) as error:
        failure = convert_error(error)
        if type(failure) is GamesalesError:
            raise
        raise failure from error


def format_install(package: str) -> str:
    """Return the command that installs a package for the Python that runs, in a checkout or anywhere else."""
    import shlex

    return f"{shlex.quote(sys.executable or 'python3')} -m pip install {shlex.quote(package)}"


def convert_error(error: Exception) -> GamesalesError:
    """Convert any error to an error of the tree, which has the exit code of the command."""
    if isinstance(error, GamesalesError):
        return error
    if isinstance(error, MemoryError):
        return TryAgainError("the machine is out of memory", hint="Free some memory, then run the command again")
    if isinstance(error, OSError) and error.errno in _TRANSIENT:
        where = f"{error.filename}: " if error.filename else ""
        return TryAgainError(
            f"{where}{os.strerror(error.errno or 0)}",
            hint="Check the disk's space and your permissions, then run the command again",
        )
    if isinstance(error, OSError) and error.errno in _WRONG_PATH:
        return UsageError(f"{error.filename or 'a path'}: {os.strerror(error.errno or 0)}", hint="Give another path")
    if isinstance(error, ModuleNotFoundError):
        return UsageError(
            f"{error.name} is not installed; this command needs the train extra",
            hint="In a checkout of gamesales: make install; elsewhere: " + format_install("gamesales[train]"),
        )
    return GamesalesError(
        f"a bug in gamesales: {type(error).__name__}: {' '.join(str(error).split())[:500]}",
        hint="Run the command again with --traceback and report what it shows",
    )
