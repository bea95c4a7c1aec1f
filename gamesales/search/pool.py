"""A pool that trains candidates on folds, in this process or in several worker processes.

The result of a task depends on the task alone, and results come in the order of the tasks. So the number of workers
changes nothing but the time.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.contract import Contract
from gamesales.errors import GamesalesError, InputError, TryAgainError
from gamesales.search.tune_job import Candidate
from gamesales.training.fit import PredictFunction, fit_predictor
from gamesales.training.folds import predict_out_of_fold
from gamesales.training.keras_objects import load_keras


@dataclass(frozen=True)
class TrainingData:
    """The titles of a search: ``features`` float64 (n, k), ``earnings`` float64 (n,)."""

    contract: Contract
    features: FloatArray
    earnings: FloatArray


@dataclass(frozen=True)
class Task:
    """A candidate, its seed, and the rows that it is measured on and not trained on, int64 (m,)."""

    candidate: Candidate
    seed: int
    fold: IntArray


# The error on the fold, or the reason why there is none.
Outcome = float | str
FoldRunner = Callable[[Sequence[Task]], Iterator[Outcome]]


def measure_fold_error(data: TrainingData, task: Task) -> Outcome:
    """Train a candidate and return its mean squared error on the fold, in units of the range of all earnings."""
    candidate = task.candidate

    def fit(features: FloatArray, earnings: FloatArray) -> PredictFunction:
        return fit_predictor(candidate.network(), candidate.training(task.seed), data.contract, features, earnings)

    try:
        predicted = predict_out_of_fold(fit, data.features, data.earnings, [task.fold])[task.fold]
    except InputError as error:
        return error.message
    finally:
        load_keras().utils.clear_session()  # otherwise the graphs of all candidates stay in memory
    scaled_errors = (predicted - data.earnings[task.fold]) / (np.ptp(data.earnings) or 1.0)
    scaled_mse = float(np.mean(scaled_errors**2))
    return scaled_mse if np.isfinite(scaled_mse) else "its predictions are not finite numbers"


@contextmanager
def open_pool(data: TrainingData, workers: int) -> Iterator[FoldRunner]:
    """Yield a function that runs tasks, in this process or in several.

    If the caller leaves the iterator of outcomes before its end, the tasks that have not begun are dropped.
    """
    if workers == 1:
        with _freeze_imports():
            yield lambda tasks: (measure_fold_error(data, task) for task in tasks)
        return
    pool = _Pool(data, workers)
    try:
        yield pool.run_folds
    finally:
        pool.kill()


@contextmanager
def _freeze_imports() -> Iterator[None]:
    """Exclude the objects of the imports from garbage collection.

    They stay alive, and a collection after each fold would take longer to visit them than the fold's own objects.
    """
    load_keras()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _Pool:
    """Worker processes, each at the other end of a pipe.

    When this process ends for any reason, each worker reads the end of its pipe and ends too.
    """

    def __init__(self, data: TrainingData, workers: int) -> None:
        context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        self._processes = []
        self._idle: list[Connection] = []
        self._busy: dict[Connection, int] = {}
        self._sent = 0
        for _ in range(workers):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, data), daemon=True)
            process.start()
            there.close()  # so that the end of the process is the end of the pipe
            self._processes.append(process)
            self._idle.append(here)

    def run_folds(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        waiting, outcomes = list(enumerate(tasks, self._sent)), dict[int, Outcome]()
        for number, _ in list(waiting):
            while number not in outcomes:
                while self._idle and waiting:
                    self._send(*waiting.pop(0))
                outcomes |= self._receive()
            yield outcomes[number]

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def _send(self, number: int, task: Task) -> None:
        worker = self._idle.pop()
        self._busy[worker] = number
        self._sent = number + 1
        with _require_alive():
            worker.send(task)

    def _receive(self) -> dict[int, Outcome]:
        """Wait for outcomes. They may include outcomes of tasks that were dropped."""
        outcomes = {}
        for worker in wait(list(self._busy)):
            assert isinstance(worker, Connection)
            with _require_alive():
                outcome = worker.recv()
            if isinstance(outcome, Exception):
                raise outcome
            outcomes[self._busy.pop(worker)] = outcome
            self._idle.append(worker)
        return outcomes


@contextmanager
def _require_alive() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        raise TryAgainError(
            "a worker process of the search was killed; the machine may be out of memory",
            hint="Run the same command again, with --workers 1 for less memory",
        ) from None


def _serve(pipe: Any, data: TrainingData) -> None:
    """Run the tasks that come through a pipe, until its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends the workers
    try:
        with _freeze_imports():
            while True:
                pipe.send(_run_task(data, pipe.recv()))
    except (EOFError, BrokenPipeError):
        return


def _run_task(data: TrainingData, task: Task) -> Outcome | Exception:
    try:
        return measure_fold_error(data, task)
    except GamesalesError as error:
        return error
    except Exception as error:
        return RuntimeError("".join(traceback.format_exception(error)))
