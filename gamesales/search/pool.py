"""Training candidates on all titles but a fold and measuring them on it, here or in several processes.

Each fold depends on its task alone, and outcomes come in the order of the tasks: so how many processes there are
changes nothing but the time.
"""

from __future__ import annotations

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
from gamesales.search.space import Candidate
from gamesales.training.fit import learn
from gamesales.training.folds import out_of_fold
from gamesales.training.network import load_keras


@dataclass(frozen=True)
class Known:
    """The titles that a search knows: ``features`` float64 (n, k), ``earnings`` float64 (n,)."""

    contract: Contract
    features: FloatArray
    earnings: FloatArray


@dataclass(frozen=True)
class Task:
    """A candidate, the seed that it starts from, and the rows that it does not learn from, int64 (m,)."""

    candidate: Candidate
    seed: int
    fold: IntArray


# The error on the fold, or why there is none.
Outcome = float | str
Cross = Callable[[Sequence[Task]], Iterator[Outcome]]


def fold_error(known: Known, task: Task) -> Outcome:
    """Train a candidate and return its mean squared error on the fold, in units of the range of all earnings."""

    def learnt(features: FloatArray, earnings: FloatArray) -> Callable[[FloatArray], FloatArray]:
        candidate = task.candidate
        return learn(candidate.network(), candidate.training(task.seed), known.contract, features, earnings)

    try:
        predicted = out_of_fold(learnt, known.features, known.earnings, [task.fold])[task.fold]
    except InputError as error:
        return error.message
    finally:
        load_keras().utils.clear_session()  # or graphs of all candidates stay in memory
    off = (predicted - known.earnings[task.fold]) / (np.ptp(known.earnings) or 1.0)
    scaled_mse = float(np.mean(off**2))
    return scaled_mse if np.isfinite(scaled_mse) else "its predictions are no finite numbers"


@contextmanager
def crossing(known: Known, workers: int) -> Iterator[Cross]:
    """Give what trains candidates on tasks, one after the other here or in so many processes.

    An iterator that is left before its end gives up the tasks that have not begun.
    """
    if workers == 1:
        yield lambda tasks: (fold_error(known, task) for task in tasks)
        return
    pool = _Pool(known, workers)
    try:
        yield pool.cross
    finally:
        pool.end()


class _Pool:
    """Processes that train, each at the other end of a pipe.

    When this process ends, however it does, each of them reads the end of its pipe and ends too.
    """

    def __init__(self, known: Known, workers: int) -> None:
        context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        self._processes = []
        self._idle: list[Connection] = []
        self._busy: dict[Connection, int] = {}
        self._sent = 0
        for _ in range(workers):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, known), daemon=True)
            process.start()
            there.close()  # so that the end of the process is the end of the pipe
            self._processes.append(process)
            self._idle.append(here)

    def cross(self, tasks: Sequence[Task]) -> Iterator[Outcome]:
        waiting, outcomes = list(enumerate(tasks, self._sent)), dict[int, Outcome]()
        for number, _ in list(waiting):
            while number not in outcomes:
                while self._idle and waiting:
                    self._send(*waiting.pop(0))
                outcomes |= self._receive()
            yield outcomes[number]

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    def _send(self, number: int, task: Task) -> None:
        worker = self._idle.pop()
        self._busy[worker] = number
        self._sent = number + 1
        with _alive():
            worker.send(task)

    def _receive(self) -> dict[int, Outcome]:
        """Wait for outcomes; among them may be some of tasks that nobody asks for any more."""
        found = {}
        for worker in wait(list(self._busy)):
            assert isinstance(worker, Connection)
            with _alive():
                told = worker.recv()
            if isinstance(told, Exception):
                raise told
            found[self._busy.pop(worker)] = told
            self._idle.append(worker)
        return found


@contextmanager
def _alive() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        raise TryAgainError(
            "a process of the search was ended from outside; the machine may have no memory left",
            hint="Run the same command again, with --workers 1 for less memory",
        ) from None


def _serve(pipe: Any, known: Known) -> None:
    """Train what comes through a pipe, until its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    try:
        while True:
            pipe.send(_outcome(known, pipe.recv()))
    except (EOFError, BrokenPipeError):
        return


def _outcome(known: Known, task: Task) -> Outcome | Exception:
    try:
        return fold_error(known, task)
    except GamesalesError as error:
        return error
    except Exception as error:
        return RuntimeError("".join(traceback.format_exception(error)))
