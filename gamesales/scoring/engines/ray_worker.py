"""The calls that worker processes of Ray run. Neither Ray nor a library of scoring loads before the first call."""

from __future__ import annotations

import os
import pickle
import socket
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gamesales import __version__
from gamesales.errors import GamesalesError, UsageError

# The last shared value of this process, by its key.
_loaded: dict[str, Any] = {}


@dataclass(frozen=True)
class SharedValue:
    """The first argument of many calls. Ray sends it to a node once, and a worker process unpickles it once.

    Attributes:
        key: identifies the value.
        folder: the current folder of the sender, where relative paths of the value and of the calls start.
        environment: the variables that a worker process needs before it imports a library.
        release: the release of gamesales that pickled it.
        software: the pickle of a function that reads the releases of libraries, and of its result at the sender.
        content: the pickle of the value.
    """

    key: str
    folder: str
    environment: dict[str, str]
    release: str
    software: bytes
    content: bytes

    def load(self) -> Any:
        """Unpickle the value, unless this process has it.

        Raises:
            UsageError: a release here differs from the release at the sender.
        """
        if self.key not in _loaded:
            _require_same({"gamesales": self.release}, {"gamesales": __version__})
            os.environ.update(self.environment)
            read_software, expected = pickle.loads(self.software)  # noqa: S301  our own process wrote it
            _require_same(expected, read_software())
            with suppress(OSError):  # this machine has no such folder, so it can only see absolute paths
                os.chdir(self.folder)
            _loaded.clear()
            _loaded[self.key] = pickle.loads(self.content)  # noqa: S301  our own process wrote it
        return _loaded[self.key]


def run_call(shared: SharedValue, call: bytes) -> bytes:
    """Run a call in a worker process.

    Args:
        shared: the first argument of the function.
        call: the pickle of the function and of its other arguments.

    Returns:
        The pickle of the result, or of the error.
    """
    outcome: Any
    try:
        value = shared.load()
        function, arguments = pickle.loads(call)  # noqa: S301  our own process wrote it
        outcome = function(value, *arguments)
    except (GamesalesError, OSError, MemoryError) as error:
        outcome = error
    except Exception as error:
        outcome = RuntimeError("".join(traceback.format_exception(error)))
    return pickle.dumps(outcome)


def _require_same(expected: dict[str, str], software: dict[str, str]) -> None:
    """Raise UsageError if a release differs, because the bytes of a result depend on it."""
    different = [name for name, release in expected.items() if software.get(name) != release]
    if different:
        here = ", ".join(f"{name} {software.get(name)}" for name in different)
        there = ", ".join(f"{name} {expected[name]}" for name in different)
        raise UsageError(
            f"the Ray worker on {socket.gethostname()} has {here}; expected {there}, as where the run began",
            hint="Install the same releases on all nodes of the Ray cluster",
        )
