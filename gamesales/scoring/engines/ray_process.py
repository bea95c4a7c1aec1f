"""Ray, behind a process of its own: calls are sent to it, and run as tasks of a cluster or of a local Ray."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from gamesales import __version__
from gamesales.errors import TryAgainError, UsageError, format_install
from gamesales.scoring.engines.local import count_cores
from gamesales.scoring.engines.ray_driver import Call, RaySettings, Reply, kill_session
from gamesales.scoring.engines.ray_worker import SharedValue

# The path of a socket has at most 107 bytes. The names that Ray adds below its temporary folder have up to 70.
_MAX_FOLDER_BYTES = 30
# The time for a connection, and for all tasks and a local Ray to end.
_CONNECT_SECONDS, _STOP_SECONDS = 120, 90
# Of a local Ray. It listens on loopback only, on any system, and serves only who knows its token. It sends no usage
# reports, and copies no folder to its workers.
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


class RayProcess(AbstractContextManager["RayProcess"]):
    """A process that connects to the Ray cluster at RAY_ADDRESS, or starts a local Ray on loopback.

    It connects in the background. ``share`` waits for the connection. At its end all tasks have ended. If this process
    is killed, they are canceled.

    Args:
        workers: the number of tasks at a time. None runs one on each core.
        read_software: a function of a module. It returns the release of each library that the results depend on. All
            workers must have the same releases.
        environment: the variables that workers need before they import a library.

    Attributes:
        limit: how many calls should be pending, so that no core waits.

    Raises:
        UsageError: Ray is not installed, or RAY_ADDRESS is of an unknown kind.
    """

    def __init__(
        self,
        workers: int | None,
        read_software: Callable[[], dict[str, str]],
        environment: dict[str, str] | None = None,
    ) -> None:
        _require_ray()
        address = _find_address()
        self._read_software, self._environment = read_software, environment or {}
        self._futures: dict[int, Future[Any]] = {}
        self._calls, self.limit = 0, 0
        self._lock = threading.Lock()
        self._end: TryAgainError | None = None
        self._folder = _make_folder()
        local = {} if address else {**_ENVIRONMENT, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self._process = _start_process(self._folder, local)
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()
        self._connected = self._expect_reply(0)
        self._send(RaySettings(address, str(self._folder), workers or count_cores(), workers))

    def share(self, value: Any) -> None:
        """Wait for Ray, and set the first argument of the calls that follow. Workers get a pickle of it once.

        Raises:
            UsageError: the cluster has another release.
            TryAgainError: the cluster does not answer.
        """
        try:
            self._connected.result(_CONNECT_SECONDS)
        except TimeoutError:
            raise TryAgainError(
                f"Ray did not answer in {_CONNECT_SECONDS} s", hint="Run it on a node of the cluster; see: ray status"
            ) from None
        software = pickle.dumps((self._read_software, self._read_software()))
        content = pickle.dumps(value)
        key, folder = secrets.token_hex(8), str(Path.cwd())
        self._send(SharedValue(key, folder, self._environment, __version__, software, content))

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Begin a call of a function of a module, with the shared value and some arguments.

        Returns:
            The result or the error of the call. If Ray is lost, a TryAgainError.
        """
        self._calls += 1
        future = self._expect_reply(self._calls)
        self._send(Call(self._calls, pickle.dumps((function, arguments))))
        return future

    def close(self) -> None:
        """Cancel the calls that are not finished, and wait until they have ended. A Ray that is starting is killed."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        if self._connected.done():  # otherwise there is no task, and Ray's start can block its process for 30 s
            self._receiver.join(_STOP_SECONDS)
        while kill_session(self._process.pid):
            time.sleep(0.01)
        self._receiver.join()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _expect_reply(self, number: int) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._futures[number] = future
            if self._end is not None:
                future.set_exception(self._end)
        return future

    def _send(self, message: RaySettings | SharedValue | Call) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # Ray is lost: the future of each call has the error
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def _receive(self) -> None:
        """Set the results of calls until the process ends, which is an error of all calls that are left."""
        assert self._process.stdout is not None
        with self._process.stdout as replies, suppress(EOFError, pickle.UnpicklingError):
            while True:
                self._set_result(pickle.load(replies))  # noqa: S301  our own process wrote it
        with self._lock:
            self._end = TryAgainError(
                f"Ray ended during the run{self._read_reason()}", hint="Run the same command again; it resumes"
            )
            for future in self._futures.values():
                future.set_exception(self._end)

    def _set_result(self, reply: Reply) -> None:
        self.limit = reply.limit
        with self._lock:
            future = self._futures.pop(reply.number)
        try:
            outcome = pickle.loads(reply.outcome) if isinstance(reply.outcome, bytes) else reply.outcome  # noqa: S301
        except Exception as error:  # an error of a library, which can't be copied to another process
            outcome = RuntimeError(f"the outcome of a task can't be read: {error!r}")
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def _read_reason(self) -> str:
        """Return the beginning of the last line that the process printed, without its time and place."""
        with suppress(OSError):
            lines = (self._folder / "stderr").read_text(encoding="utf-8", errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "")
            return ": " + re.sub(r"^\[[^]]*\] \S+ ", "", last).split(". ")[0][:300] if last else ""
        return ""


def _require_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--engine ray needs Ray", hint="Install it: " + format_install("gamesales[ray]"))


def _find_address() -> str:
    """Return the address of the Ray that this process is connected to, or RAY_ADDRESS; empty for a local Ray."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return str(ray.get_runtime_context().gcs_address)
    address = os.environ.get("RAY_ADDRESS", "")
    if "://" in address:
        raise UsageError(
            f"RAY_ADDRESS expects the address of a head node, such as 10.0.0.1:6379, received {address}",
            hint="Start the run on a node of the cluster; see docs/guides/ray.md",
        )
    return "" if address == "local" else address


def _make_folder() -> Path:
    """Make a folder with a short path."""
    folder = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="ray-", dir=folder if len(os.fsencode(folder)) < _MAX_FOLDER_BYTES else "/tmp"))  # noqa: S108


def _start_process(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a process that imports what this process can import, in a session that the terminal sends no signals to."""
    command = [sys.executable, "-c", "from gamesales.scoring.engines.ray_driver import serve; serve()"]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    with (folder / "stderr").open("wb") as errors:
        return subprocess.Popen(  # noqa: S603
            command,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
