"""Small searches for tests: a job file, and what stands for training where only the search itself is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import read_titles
from gamesales.search.fold_errors import FoldErrors
from gamesales.search.search import Search, SearchCallbacks
from gamesales.search.trials import Study
from gamesales.search.tune_job import Candidate, load_tune_job
from gamesales.training.workers import LateCall
from support.train_jobs import as_toml
from support.versions import DATA

# Networks that learn next to nothing, in next to no time. The batches divide a fold, so that one size is compiled.
SPACE = {
    "layers": [1, 2],
    "units": {"low": 2, "high": 8},
    "activation": ["relu", "silu"],
    "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "epochs": [1, 2],
    "batch_size": 250,
}
START = {"units": [4], "activation": "relu", "epochs": 1, "batch_size": 250}
SEARCH = {"trials": 3, "folds": 2, "finalists": 2, "workers": 1}


def write_tune_job(path, **changes):
    """Write a small valid job with some keys changed; None leaves a key or a table out."""
    tables = {
        "data": {
            "train": DATA / "sales_data_training.csv",
            "test": DATA / "sales_data_test.csv",
            "contract": DATA / "contract.toml",
        },
        "search": SEARCH,
        "space": SPACE,
        "start": START,
        "intervals": {"method": "none"},
        "report": {"folds": 0, "seeds": 0, "learning_curve": False},
    }
    top = {key: value for key, value in changes.items() if key not in tables or isinstance(value, str)}
    lines = [f"{key} = {as_toml(value)}" for key, value in top.items()]
    for name, table in tables.items():
        change = changes.get(name, {})
        if change is not None and name not in top:
            kept = {key: value for key, value in {**table, **change}.items() if value is not None}
            lines += [f"[{name}]", *(f"{key} = {as_toml(value)}" for key, value in kept.items())]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def by_formula(task):
    """An error without training: it depends on all that training would depend on, and on nothing else."""
    candidate = task.candidate
    noise = np.random.default_rng([task.seed % 1000, len(task.fold), *candidate.units]).uniform(0.8, 1.2)
    return float(noise * 1e-5 * (1 + 10 / sum(candidate.units) + (np.log10(candidate.learning_rate) + 2) ** 2))


@dataclass(frozen=True)
class FoldTask:
    """One fold of a task."""

    candidate: Candidate
    seed: int
    fold: np.ndarray


def make_runner(outcome_of):
    """A function that begins to measure a task fold by fold; an outcome is an error, or why there is none."""

    def measure_folds(task):
        measured = FoldErrors()
        for seed, fold in zip(task.seeds, task.folds, strict=True):
            outcome = outcome_of(FoldTask(task.candidate, seed, fold))
            if isinstance(outcome, str):
                return FoldErrors(measured.errors, outcome)
            measured = FoldErrors((*measured.errors, outcome))
            if task.is_over_limit(measured.errors):
                break
        return measured

    return lambda task: LateCall(measure_folds, task)


def run_trials_by_formula(job_file, storage, count):
    """Run the first trials of a search without training. The search resumes after them."""
    job = load_tune_job(job_file, trials=count)
    contract = Contract.from_toml(job.data.contract)
    titles = read_titles(Path(job.data.train), contract)
    Search(job, titles, Study.open(storage, job, contract, titles), SearchCallbacks()).run_trials(
        make_runner(by_formula)
    )


def open_search(folder, callbacks=SearchCallbacks(), titles=None, **settings):  # noqa: B008
    """Open a search with some keys of [search] changed; its study is in ``folder/tune``."""
    job = load_tune_job(write_tune_job(folder / "tune.toml", search=settings))
    contract = Contract.from_toml(job.data.contract)
    titles = titles if titles is not None else read_titles(Path(job.data.train), contract)
    return Search(job, titles, Study.open(folder / "tune", job, contract, titles), callbacks)
