"""Worker processes that run function calls, so that several cores train at once.

A call depends on its arguments alone. So the number of workers changes nothing but the time. Without workers, a call
runs in this process when its result is first needed.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Protocol

from gamesales.errors import GamesalesError, TryAgainError
from gamesales.training.keras_objects import load_keras

# The threads that TensorFlow has for independent operations wait for each other where operations are small.
_ENVIRONMENT = {"TF_NUM_INTEROP_THREADS": "1"}
# A task of Ray has one core.
RAY_ENVIRONMENT = {**_ENVIRONMENT, "TF_NUM_INTRAOP_THREADS": "1"}


class Call(Protocol):
    """A function call whose result comes later."""

    def result(self) -> Any:
        """Return the result of the function, or raise its exception."""

    def cancel(self) -> bool:
        """Drop the call if it has not begun."""


# Begins a call of a function with arguments. Workers need functions of modules, and arguments that can be pickled.
Submit = Callable[..., Call]


@contextmanager
def open_workers(workers: int) -> Iterator[Submit]:
    """Yield a function that submits calls to worker processes, or with 0 workers, to this process.

    All workers are killed at the end, with the calls that are still running. They also end if this process is killed.
    """
    if workers == 0:
        yield LateCall
        return
    pool = _WorkerPool(workers)
    try:
        yield pool.submit
    finally:
        pool.kill()


def read_training_software() -> dict[str, str]:
    """Import the libraries of training, and return the release of each that weights depend on."""
    keras = load_keras()
    import numpy as np
    import tensorflow as tf

    return {"keras": keras.__version__, "numpy": np.__version__, "tensorflow": tf.__version__}


class LateCall:
    """A call that runs in this process when its result is needed."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._function, self._arguments = function, arguments
        self._results: list[Any] = []

    def result(self) -> Any:
        if not self._results:
            self._results.append(self._function(*self._arguments))
        return self._results[0]

    def cancel(self) -> bool:
        return not self._results


class _WorkerPool:
    """Worker processes, and a thread of this process for each of them, which waits for results."""

    def __init__(self, workers: int) -> None:
        self.processes = [_start_worker() for _ in range(workers)]
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for process in self.processes:
            self._idle.put(process)
        self._threads = ThreadPoolExecutor(workers)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._threads.submit(self._run, function, arguments)

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        worker = self._idle.get()
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            pickle.dump((function, arguments), worker.stdin)
            worker.stdin.flush()
            result = pickle.load(worker.stdout)  # noqa: S301  our own process wrote it
        except (EOFError, OSError, pickle.UnpicklingError):
            raise TryAgainError(
                "a worker process of the training was killed; the machine may be out of memory",
                hint="Run the same command again when more memory is free",
            ) from None
        finally:
            self._idle.put(worker)
        if isinstance(result, Exception):
            raise result
        return result

    def kill(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self.processes:
            process.kill()
        self._threads.shutdown()
        for process in self.processes:
            with suppress(BrokenPipeError):  # a call that was not sent whole
                process.communicate()


def _start_worker() -> subprocess.Popen[bytes]:
    """Start a process that imports what this process can import.

    A process of the module multiprocessing would import the script that trains, and might begin to train again.
    """
    command = [sys.executable, "-c", f"from {__name__} import serve; serve()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **_ENVIRONMENT}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603


def serve() -> None:
    """Run the calls that come through standard input until its end, and write their results to standard output.

    The end of the input is the end of the parent. It ends this process also in the middle of a call.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the workers
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no result
    calls: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_receive_calls, args=(calls,), daemon=True).start()
    while True:
        pickle.dump(_run_call(*calls.get()), results)
        results.flush()


def _receive_calls(calls: SimpleQueue[Any]) -> None:
    try:
        while True:
            calls.put(pickle.load(sys.stdin.buffer))  # noqa: S301  the parent wrote it
    finally:
        os._exit(1)


def _run_call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Return the result of a call, or its exception."""
    try:
        return function(*arguments)
    except GamesalesError as error:
        return error
    except Exception as error:
        return RuntimeError("".join(traceback.format_exception(error)))
