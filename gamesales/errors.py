"""Every failure that gamesales expects, and the exit code that each one ends a command with.

    GamesalesError                       1   a fault of ours, if nothing below fits
    ├── UsageError (ValueError)          2   the command line is wrong
    │   └── JobFileError                 2   a job file or the contract is wrong
    ├── InputError (ValueError)          3   an input can't be used; nothing was published
    │   ├── InputNotFoundError           3   there is no such file, or nothing in the folder
    │   ├── ColumnsError                 3   columns are missing, doubled or of a wrong type
    │   └── TooManyRejectsError          3   more rows were rejected than the run allows
    ├── RegistryError                    4   the registry can't serve this
    │   ├── UnknownVersionError          4   (LookupError) no such version or model
    │   ├── NothingPromotedError         4   (LookupError) the alias points nowhere
    │   ├── IntegrityError               4   (ValueError) bytes differ from the digest that names them
    │   ├── SelfTestError                4   the golden rows do not reproduce
    │   └── ParityError                  4   the scoring graph and the Keras network disagree
    ├── GateRefusedError                 5   the version may not be promoted
    └── TryAgainError (OSError)          7   could not run now: disk full, no permission, an input that changed

A message says what was expected, what was found and where; the hint says what to type next.
"""

from collections.abc import Mapping


class GamesalesError(Exception):
    """The root: ``except GamesalesError`` catches every failure that is told in one line."""

    exit_code = 1
    code = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(GamesalesError, ValueError):
    """The command line asks for something that can't be."""

    exit_code = 2
    code = "usage"


class JobFileError(UsageError):
    """A job file or a contract has a wrong or unknown key."""

    code = "job_file"


class InputError(GamesalesError, ValueError):
    """An input can't be used as it is."""

    exit_code = 3
    code = "input"


class InputNotFoundError(InputError, FileNotFoundError):
    """An input does not exist, or a folder holds nothing to read."""

    code = "input_not_found"


class ColumnsError(InputError):
    """Columns are missing, doubled, reserved or of a type that can't be read as numbers."""

    code = "columns"


class TooManyRejectsError(InputError):
    """More rows were rejected than the run allows."""

    code = "too_many_rejects"


class RegistryError(GamesalesError):
    """The registry can't serve the request."""

    exit_code = 4
    code = "registry"


class UnknownVersionError(RegistryError, LookupError):
    """The registry has no such model, version or alias."""

    code = "unknown_version"


class NothingPromotedError(RegistryError, LookupError):
    """The alias exists in principle, but nobody has set it."""

    code = "nothing_promoted"


class IntegrityError(RegistryError, ValueError):
    """Bytes in the registry are not the bytes that its log names."""

    code = "integrity"


class SelfTestError(RegistryError):
    """A version does not reproduce its golden rows on this machine."""

    code = "self_test"


class ParityError(RegistryError):
    """The scoring graph does not give what the Keras network gives."""

    code = "parity"


class GateRefusedError(GamesalesError):
    """The gate refused to set the alias; ``evidence`` is what the log would have kept."""

    exit_code = 5
    code = "gate_refused"

    def __init__(self, message: str, *, hint: str = "", evidence: Mapping[str, object] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.evidence = dict(evidence or {})


class TryAgainError(GamesalesError, OSError):
    """The work could not be done now, and may succeed later."""

    exit_code = 7
    code = "try_again"
