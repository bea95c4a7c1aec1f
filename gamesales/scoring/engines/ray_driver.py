"""The process that is the driver of Ray: it connects, submits calls as tasks, and returns their outcomes through pipes.

Ray's library ends the process that uses it when the head node is lost. It also installs signal handlers, and prints. So
it has a process of its own. When the input pipe of this process ends, its tasks are canceled, and it ends.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from gamesales.errors import GamesalesError, TryAgainError, UsageError
from gamesales.scoring.engines.ray_worker import SharedValue, run_call

# Enough that no core waits for its next task, and few enough that memory stays flat.
_PENDING_PER_CPU = 3
# How often a task is started again if its worker process or its node is lost.
_RETRIES = 5
# The pause between looks for new calls, and between looks at the size of the cluster, in seconds.
_POLL_SECONDS, _SIZE_SECONDS = 0.1, 10.0
# The time for a head node to answer, and for tasks to end after they are canceled, before their processes are killed.
_CONNECT_SECONDS, _CANCEL_SECONDS = 10.0, 20.0
# Of Linux. A local Ray is a session of its own.
_PROCESSES = Path("/proc")
# Of a local Ray. It holds the shared value, because results are small.
_OBJECT_STORE_BYTES = 200_000_000


@dataclass(frozen=True)
class RaySettings:
    """How to reach Ray.

    Attributes:
        address: of a cluster. Empty starts a local Ray.
        folder: the temporary folder of a local Ray. This process removes it at its end.
        cores: the tasks that a local Ray runs at a time.
        workers: the number of tasks at a time. None runs one on each core of the cluster.
    """

    address: str
    folder: str
    cores: int
    workers: int | None


@dataclass(frozen=True)
class Call:
    """A call with its number. ``content`` is the pickle of a function and of its arguments after the shared value."""

    number: int
    content: bytes


@dataclass(frozen=True)
class Reply:
    """The outcome of a call, or of the connection, which is number 0.

    Attributes:
        outcome: the pickle of the result or of the error of a call, or an error of Ray. None for the connection.
        limit: how many calls should be pending from now on.
    """

    number: int
    outcome: bytes | Exception | None
    limit: int


def serve() -> None:
    """Read settings and then calls from standard input until it ends, and write replies to standard output."""
    # A task is canceled by a simulated SIGINT, which workers would ignore if this process did.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Ray prints is no reply

    def send(reply: Reply) -> None:
        with suppress(BrokenPipeError):  # the parent was killed; standard input ends too
            pickle.dump(reply, replies)
            replies.flush()

    settings: RaySettings = pickle.load(sys.stdin.buffer)  # noqa: S301  the parent wrote it
    messages: SimpleQueue[SharedValue | Call | None] = SimpleQueue()
    connected = threading.Event()

    def receive() -> None:
        with suppress(EOFError, pickle.UnpicklingError):
            while True:
                messages.put(pickle.load(sys.stdin.buffer))  # noqa: S301  the parent wrote it
        messages.put(None)
        if not connected.is_set():  # Ray tries to connect for many minutes
            while kill_session(os.getpid()):  # a local Ray, which has started in part
                pass
            shutil.rmtree(settings.folder, ignore_errors=True)
            os._exit(1)

    threading.Thread(target=receive, daemon=True).start()
    try:
        with _connect(settings) as ray:
            connected.set()
            _TaskRunner(ray, settings.workers, messages, send).run()
    except GamesalesError as error:
        send(Reply(0, error, 0))
    finally:
        shutil.rmtree(settings.folder, ignore_errors=True)
    os._exit(0)  # Ray's own exit waits for processes that are gone


@contextmanager
def _connect(settings: RaySettings) -> Iterator[Any]:
    """Connect to a cluster, or start a local Ray. Yields the module.

    Raises:
        TryAgainError: the cluster does not answer.
        UsageError: the cluster has another release of Ray or Python.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        import ray

        if settings.address:
            _require_listener(settings.address)
            ray.init(address=settings.address, **quiet)
        else:
            _drop_services()
            ray.init(
                address="local",
                num_cpus=settings.cores,
                num_gpus=0,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",  # then all servers of Ray listen on loopback only
                _temp_dir=settings.folder,
                **quiet,
            )
    except Exception as error:  # errors of many classes
        reason = " ".join(str(error).split())[:300]
        if "ersion mismatch" in reason:
            raise UsageError(reason, hint="Install the cluster's release of Ray and Python here") from None
        where = f"connect to the Ray cluster at {settings.address}" if settings.address else "start a local Ray"
        raise TryAgainError(f"can't {where}: {reason}", hint="Check RAY_ADDRESS, and: ray status") from None
    try:
        yield ray
    finally:
        if settings.address or not _PROCESSES.exists():
            ray.shutdown()
        else:
            kill_session(os.getpid())  # no task is left; Ray waits for each of its processes, more than a second in all


def _drop_services() -> None:
    """Start a local Ray without its dashboard, autoscaler and log monitor, which are three processes.

    Ray starts the process of the dashboard even without a dashboard, and waits for it. These methods are internal. A
    release of Ray that renames them starts the processes again.
    """
    with suppress(ImportError):
        from ray._private.node import Node

        for name in ("start_api_server", "start_monitor", "start_log_monitor"):
            setattr(Node, name, lambda *arguments, **options: None)


def kill_session(leader: int) -> bool:
    """Kill the processes of a session, except this process. Return whether there was one."""
    is_left = False
    for path in _PROCESSES.glob("[0-9]*/stat"):
        with suppress(OSError):  # the process has just ended
            state, _, _, session = path.read_text(errors="replace").rpartition(")")[2].split()[:4]
            process = int(path.parent.name)
            if int(session) == leader and state != "Z" and process != os.getpid():
                os.kill(process, signal.SIGKILL)
                is_left = True
    return is_left


def _require_listener(address: str) -> None:
    """Raise OSError if nothing listens at an address, which Ray finds out in many minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


class _TaskRunner:
    """Runs calls as tasks until standard input ends, which is the message None."""

    def __init__(
        self,
        ray: Any,
        workers: int | None,
        messages: SimpleQueue[SharedValue | Call | None],
        send: Callable[[Reply], None],
    ) -> None:
        self._ray, self._workers, self._messages, self._send = ray, workers, messages, send
        self._remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(run_call)
        self._shared: Any = None
        self._pending: dict[Any, int] = {}
        self._limit, self._next_look = 0, 0.0

    def run(self) -> None:
        """Run calls until standard input ends. Then no task is left."""
        self._reply(0, None)
        try:
            while (message := self._wait_for_message()) is not None:
                if isinstance(message, SharedValue):
                    self._shared = self._ray.put(message)
                else:
                    self._pending[self._remote.remote(self._shared, message.content)] = message.number
        finally:
            self._cancel()

    def _wait_for_message(self) -> SharedValue | Call | None:
        """Return the next message. Meanwhile send the outcomes of finished tasks."""
        while self._pending:
            with suppress(Empty):
                return self._messages.get_nowait()
            done, others = self._ray.wait(list(self._pending), num_returns=1, timeout=_POLL_SECONDS)
            if done and others:
                done += self._ray.wait(others, num_returns=len(others), timeout=0)[0]
            for task in done:
                self._reply(self._pending.pop(task), self._get_outcome(task))
        return self._messages.get()

    def _reply(self, number: int, outcome: bytes | Exception | None) -> None:
        if time.monotonic() >= self._next_look:  # the cluster may grow
            cores = int(self._ray.cluster_resources().get("CPU", 0))
            self._limit = self._workers or _PENDING_PER_CPU * max(cores, 1)
            self._next_look = time.monotonic() + _SIZE_SECONDS
        self._send(Reply(number, outcome, self._limit))

    def _get_outcome(self, task: Any) -> bytes | Exception:
        try:
            outcome: bytes = self._ray.get(task)
            return outcome
        except self._ray.exceptions.RayTaskError as error:
            return _explain_task_error(str(error))
        except self._ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())[:300]
            return TryAgainError(
                f"Ray lost a task {_RETRIES + 1} times: {reason}", hint="Run the same command again; it resumes"
            )

    def _cancel(self) -> None:
        """Cancel all tasks, and wait until none of them runs."""
        tasks = list(self._pending)
        for force in (False, True):
            for task in tasks:
                self._ray.cancel(task, force=force)
            if tasks:
                _, tasks = self._ray.wait(tasks, num_returns=len(tasks), timeout=_CANCEL_SECONDS)


def _explain_task_error(text: str) -> Exception:
    """Explain the error of a task whose function did not return, so it did not begin."""
    if "No module named" in text:
        missing = text.rpartition("No module named")[2].split("\n")[0].strip()
        return UsageError(
            f"a worker of the Ray cluster can't import {missing}",
            hint="Install gamesales and its libraries on all nodes; see docs/guides/ray.md",
        )
    return RuntimeError(text)
