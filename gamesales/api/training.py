"""Train versions, measure networks, and prepare files of titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gamesales.errors import LOGGER, expect_failures
from gamesales.registry.refs import choose_registry
from gamesales.scoring.engines import EngineName, check_engine

if TYPE_CHECKING:
    from gamesales.jobs.crossvalidate import CrossValidationResult
    from gamesales.jobs.prepare import PreprocessingResult, SimulationKind, SimulationResult
    from gamesales.jobs.train import TrainingResult
    from gamesales.jobs.tune import TuneResult
    from gamesales.training.folds import FoldKind

OnStage = Callable[[str], None]


@expect_failures()
def train(
    job: str | Path = "jobs/train.toml",
    *,
    preset: str | None = None,
    tensorboard: str | Path | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_epochs: int = 10,
    reason: str = "",
    registry: str | Path | None = None,
    on_stage: OnStage = LOGGER.info,
) -> TrainingResult:
    """Train a version on past titles and register it.

    TensorFlow has one state for a process, so train in one thread at a time.

    Args:
        job: The job file.
        preset: Take the network and its training from a preset, such as ``course``.
        tensorboard: A folder to write losses for TensorBoard to.
        checkpoint: A folder to write checkpoints to. A killed training resumes from there.
        checkpoint_epochs: The number of epochs between two checkpoints.
        reason: Why, for the log.
        registry: The folder or URL of the registry. None: as in the job file, or ``registry``.
        on_stage: Called with a line of text when each stage begins.

    Returns:
        The version, with its metrics and those of the baselines on the test titles, in the unit of the target.

    Raises:
        JobFileError: The job file or the contract is wrong, or the network can't be exported.
        InputError: A file of titles can't be used.
        TryAgainError: The registry can't be written now.
    """
    from gamesales.jobs.loading import open_registry
    from gamesales.jobs.train import train as run
    from gamesales.training.train_job import load_job

    settings = load_job(Path(job), preset)
    return run(
        settings,
        open_registry(_choose_registry(registry, settings.registry), settings.name),
        reason=reason,
        on_stage=on_stage,
        tensorboard=None if tensorboard is None else Path(tensorboard),
        checkpoints=None if checkpoint is None else Path(checkpoint),
        checkpoint_epochs=checkpoint_epochs,
    )


@expect_failures()
def tune(
    job: str | Path = "jobs/tune.toml",
    *,
    trials: int | None = None,
    minutes: float | None = None,
    workers: int | None = None,
    storage: str | Path = ".tune",
    engine: EngineName = "local",
    reason: str = "",
    registry: str | Path | None = None,
    on_stage: OnStage = LOGGER.info,
) -> TuneResult:
    """Search for the smallest network that is about as accurate as the best, and register it.

    Args:
        job: The job file.
        trials: Stop the search after this number of trials. None: as in the job file.
        minutes: Stop the search after this time. None: as in the job file.
        workers: Processes that train. None: as in the job file, or one for each core.
        storage: The folder for the trials. A killed search resumes from there.
        engine: Where trials are trained: ``local`` in processes of this machine, or ``ray`` as tasks of a Ray cluster.
        reason: Why, for the log.
        registry: The folder or URL of the registry. None: as in the job file, or ``registry``.
        on_stage: Called with a line of text when each stage begins.

    Returns:
        The search and its version, with the metrics on the test titles in the unit of the target.

    Raises:
        JobFileError: The job file or the contract is wrong.
        InputError: A file of titles can't be used, or no trial could be trained.
        TryAgainError: The registry can't be written now.
    """
    check_engine(engine)
    from gamesales.jobs.loading import open_registry
    from gamesales.jobs.tune import tune as run
    from gamesales.search.search import SearchCallbacks
    from gamesales.search.tune_job import load_tune_job

    settings = load_tune_job(Path(job), trials=trials, minutes=minutes, workers=workers)
    opened = open_registry(_choose_registry(registry, settings.registry), settings.name)
    callbacks = SearchCallbacks(on_stage=on_stage)
    return run(settings, opened, storage=Path(storage), reason=reason, is_ray=engine == "ray", callbacks=callbacks)


@expect_failures()
def crossvalidate(
    job: str | Path = "jobs/train.toml",
    data: str | Path | None = None,
    *,
    folds: int = 5,
    seeds: int = 1,
    kinds: Sequence[FoldKind] | None = None,
    preset: str | None = None,
    on_stage: OnStage = LOGGER.info,
) -> CrossValidationResult:
    """Measure by cross-validation how accurate the networks of a job are. Nothing is registered.

    Args:
        job: The job file of a training.
        data: The titles, a file or a URL. None: ``data.train`` of the job file.
        folds: The number of folds, 2 or more.
        seeds: Repeat with this number of seeds, starting from the seed in the job file.
        kinds: ``plain`` for folds of random titles, ``grouped`` to keep titles with the same features together. None:
            both.
        preset: Take the network and its training from a preset, such as ``course``.
        on_stage: Called with a line of text when the trainings of a seed begin.

    Returns:
        The metrics of each seed in the unit of the target, with their statistics for each kind.

    Raises:
        JobFileError: The job file or the contract is wrong.
        InputError: The titles can't be used, or there are too few for the folds.
        UsageError: The number of folds or seeds is too small, or a kind is unknown.
    """
    from gamesales.jobs.crossvalidate import crossvalidate as run
    from gamesales.training.folds import FOLD_KINDS
    from gamesales.training.train_job import load_job

    titles = None if data is None else str(data)
    chosen = FOLD_KINDS if kinds is None else kinds
    return run(load_job(Path(job), preset), titles, folds=folds, seeds=seeds, kinds=chosen, on_stage=on_stage)


@expect_failures()
def preprocess(
    training: str | Path, test: str | Path, *, contract: str | Path = "data/contract.toml"
) -> PreprocessingResult:
    """Scale a training and a test file to 0..1 and write a ``…_scaled.csv`` next to each, as in the Keras course.

    Args:
        training: The training file, which the scaler is fitted on.
        test: The test file.
        contract: The contract.

    Raises:
        JobFileError: The contract is wrong.
        InputError: A file can't be used.
        UsageError: The scaled files would replace each other or an input.
    """
    from gamesales.data.contract import Contract
    from gamesales.jobs.prepare import preprocess as run

    return run(Path(training), Path(test), Contract.from_toml(Path(contract)))


@expect_failures()
def simulate(
    output: str | Path,
    rows: int,
    *,
    kind: SimulationKind = "features",
    seed: int = 1,
    ids: bool = False,
    earnings: bool = True,
    continuous: bool = False,
) -> SimulationResult:
    """Simulate titles with earnings that follow a known formula with noise.

    Args:
        output: A .csv or .parquet file.
        rows: The number of titles.
        kind: ``features`` for nine numbers and flags, or ``catalog`` for a store's catalog with genres, publishers, a
            release date and missing cells.
        seed: The seed of the random titles.
        ids: Whether to write the columns ``title_id`` and ``title``.
        earnings: Whether to write ``total_earnings``, in US dollars.
        continuous: Whether ratings and prices take any value, so that rows rarely repeat.

    Raises:
        UsageError: The file has another suffix, its folder is missing, or the kind is unknown.
    """
    from gamesales.jobs.prepare import simulate as run

    return run(Path(output), rows, kind=kind, seed=seed, ids=ids, earnings=earnings, continuous=continuous)


def _choose_registry(registry: str | Path | None, job: str | None) -> str:
    return choose_registry(None if registry is None else str(registry), job)
