"""Search for a small network that is as accurate as the best, train it and register it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.errors import JobFileError
from gamesales.jobs.gate_evidence import GatePreview
from gamesales.jobs.train import BundleExtras, train
from gamesales.report.format import format_count
from gamesales.report.tune_page import TrialSummary, render_tune_page
from gamesales.scoring.engines.local import count_cores
from gamesales.search.fold_errors import Measure, TrainingData, measure_folds
from gamesales.search.sampler import rank_hyperparameters
from gamesales.search.search import RUNNING_TRIALS, Search, SearchCallbacks
from gamesales.search.trials import (
    PAGE_FILE,
    STORAGE,
    Study,
    Trial,
    find_pareto_front,
    find_smallest_within,
    rank_trials,
)
from gamesales.search.tune_job import Candidate, TuneJob, list_hyperparameters
from gamesales.stats.amounts import InUnit, keeps_unit, set_unit
from gamesales.stats.metrics import HEADINGS, Metrics, format_metrics
from gamesales.training import parity
from gamesales.training.encoding import add_encoder, fit_encoding
from gamesales.training.intervals import split_for_calibration
from gamesales.training.keras_objects import seed_everything
from gamesales.training.network import build_network
from gamesales.training.scaling import fit_scaler
from gamesales.training.train_job import read_data
from gamesales.training.workers import RAY_ENVIRONMENT, open_workers, read_training_software

if TYPE_CHECKING:
    from gamesales.registry.registry import ModelRegistry

NO_CALLBACKS = SearchCallbacks()


@dataclass(frozen=True)
class Finalist:
    """A candidate with its errors.

    ``trial`` is its number. ``error`` is the mean scaled MSE over the folds of the search, and ``final_error`` over the
    folds of the final rounds, None if it was not in them or failed. A spread is the standard deviation between folds.
    """

    trial: int
    parameters: int
    candidate: dict[str, Any]
    error: float
    spread: float
    final_error: float | None
    final_spread: float | None


@dataclass(frozen=True)
class SearchResult:
    """The result of a search, which the manifest of the version keeps.

    Attributes:
        study: the identity of the study.
        settings: the tables of the job file.
        optuna: the release of Optuna.
        titles: the number of titles of the search.
        seconds: the duration of all sessions.
        chosen: whether the ``best`` or the ``smallest`` was registered.
        best: the finalist with the lowest final error.
        smallest: the smallest finalist whose final error is within the tolerance.
        start: the first trial. None if it failed.
        finalists: the candidates that were trained again.
        front: the trials on the Pareto front of error and size.
        importances: the importance of each hyperparameter.
    """

    study: str
    settings: dict[str, Any]
    optuna: str
    titles: int
    trials: int
    complete: int
    pruned: int
    failed: int
    seconds: float
    chosen: str
    best: Finalist
    smallest: Finalist
    start: Finalist | None
    finalists: list[Finalist]
    front: list[Finalist]
    importances: dict[str, float]


@dataclass(frozen=True)
class TuneResult(InUnit):
    """A search and the version that it registered, with its metrics and those of the baselines on the test titles.

    ``gate``, ``same_weights_as`` and ``warnings`` are those of the training.
    """

    model: str
    version: int
    bundle: str
    report: str
    page: str
    storage: str
    search: SearchResult
    metrics: Metrics
    baselines: dict[str, Metrics]
    interval: dict[str, Any] | None
    gate: GatePreview
    same_weights_as: int | None
    warnings: list[str]

    def __repr__(self) -> str:
        _, mae, *_ = format_metrics(self.metrics, self)
        trials = format_count(self.search.trials, "trial")
        return f"TuneResult(version {self.version} of {self.model}: MAE {mae} on the test titles, after {trials})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        metrics = {f"version {self.version}": self.metrics, **self.baselines}
        rows = [[name, *format_metrics(values, self)] for name, values in metrics.items()]
        caption = f"version {self.version} of {self.model}, the {self.search.chosen} of {self.search.trials:,} trials"
        return make_table(f"{caption}: metrics on the test titles", ["", *HEADINGS], rows)


@keeps_unit
def tune(
    job: TuneJob,
    registry: ModelRegistry,
    *,
    storage: Path = STORAGE,
    reason: str = "",
    is_ray: bool = False,
    callbacks: SearchCallbacks = NO_CALLBACKS,
) -> TuneResult:
    """Search, train the winner on all titles of the training file, and register it.

    Args:
        job: the space and the budget.
        registry: the registry of the model. It must be writable. Nothing stays in it before the winner is trained.
        storage: the folder of searches. A search that was killed resumes from there.
        reason: why, for the log.
        is_ray: whether trials are trained as tasks of a Ray, and not in processes of this machine.
        callbacks: called during the search.
    """
    callbacks.on_stage("reading titles")
    contract, training_titles, _ = read_data(job)
    set_unit(contract.unit)
    registry.check_writable()
    # The titles that calibrate prediction intervals are held out from the search too.
    titles, _ = split_for_calibration(job.train_job(job.start), training_titles)
    study = Study.open(storage, job, contract, titles)
    callbacks.on_stage("starting TensorFlow and checking that networks of the space can be exported")
    _check_exports(job, contract, titles)

    callbacks.on_stage("searching")
    data = TrainingData(contract, titles.features, titles.earnings)
    search = Search(job, titles, study, callbacks, data.width)
    with _open_measure(job.search.workers, data, is_ray=is_ray) as measure:
        trials = search.run_trials(measure)
        callbacks.on_stage("training the best again, on other folds and from other seeds")
        finalists = search.run_finals(measure)
    result = _summarize_search(job, study, len(titles), trials, finalists, search.seconds)
    page = study.write(PAGE_FILE, _render_page(job, titles, result, trials))

    winner = Candidate.model_validate((result.smallest if result.chosen == "smallest" else result.best).candidate)
    callbacks.on_stage(f"training the {result.chosen}, {winner}, on all titles")
    training = train(
        job.train_job(winner),
        registry,
        reason=reason or f"the {result.chosen} of {format_count(result.trials, 'trial')}",
        on_stage=callbacks.on_stage,
        on_epoch=callbacks.on_epoch,
        extras=BundleExtras(
            {"search": asdict(result)}, {PAGE_FILE: page.read_bytes()}, {"Search": _describe_search(result)}
        ),
    )
    return TuneResult(
        model=training.model,
        version=training.version,
        bundle=training.bundle,
        report=training.report,
        page=f"{training.bundle}/{PAGE_FILE}",
        storage=str(study.folder),
        search=result,
        metrics=training.metrics,
        baselines=training.baselines,
        interval=training.interval,
        gate=training.gate,
        same_weights_as=training.same_weights_as,
        warnings=training.warnings,
    )


@contextmanager
def _open_measure(workers: int | None, data: TrainingData, *, is_ray: bool) -> Iterator[Measure]:
    """Yield a function that begins to measure a task, on a Ray or in ``workers`` processes of this machine."""
    if is_ray:
        from gamesales.scoring.engines.ray_process import RayProcess

        with RayProcess(workers, read_training_software, RAY_ENVIRONMENT) as ray:
            ray.share(data)
            yield partial(ray.submit, measure_folds)
        return
    processes = min(workers or count_cores(), RUNNING_TRIALS)
    with open_workers(processes if processes > 1 else 0) as submit:
        yield partial(submit, measure_folds, data)


def _describe_search(result: SearchResult) -> str:
    tolerance = 100 * result.settings["search"]["tolerance"]
    within = "" if result.chosen == "best" else f" within {tolerance:g}% of the best"
    return (
        f"the {result.chosen}{within} of {format_count(result.trials, 'trial')}: {result.complete:,} complete, "
        f"{result.pruned:,} pruned, {result.failed:,} failed; study {result.study[:12]}; see {PAGE_FILE} next to this "
        "page"
    )


def _check_exports(job: TuneJob, contract: Contract, titles: LabeledTitles) -> None:
    """Fail in seconds, before the search, if a winner could not be exported to a scoring graph.

    Raises:
        JobFileError: Keras does not have an activation, or an activation can't be exported.
    """
    _, scaling = fit_scaler(contract, titles.features, titles.earnings)
    encoding = fit_encoding(contract, titles.features)
    seed_everything(job.search.seed)
    probe = parity.sample_contract(contract, titles.features, parity.ROWS, job.search.seed)
    for activation in dict.fromkeys([job.start.activation, *job.space.activation.choices]):
        candidate = job.start.model_copy(update={"units": (4,), "activation": activation})
        try:
            network = add_encoder(candidate.network(), encoding)
            parity.check_export(build_network(network, len(contract.features)), scaling, probe)
        except JobFileError as error:
            raise JobFileError(f"space.activation, {activation!r}: {error}", hint=error.hint) from None


def _summarize_search(
    job: TuneJob, study: Study, titles: int, trials: Sequence[Trial], finalists: Sequence[Trial], seconds: float
) -> SearchResult:
    """Summarize a search. The ``finalists`` have the errors of the final rounds."""
    trial_of, ranked = {trial.number: trial for trial in trials}, rank_trials(finalists)
    final_of = {trial.number: trial for trial in ranked}

    def make_finalist(number: int) -> Finalist:
        trial, final = trial_of[number], final_of.get(number)
        return Finalist(
            trial=number,
            parameters=trial.parameters,
            candidate=trial.candidate.model_dump(mode="json"),
            error=trial.error,
            spread=trial.spread,
            final_error=final.error if final else None,
            final_spread=final.spread if final else None,
        )

    states = [trial.state for trial in trials]
    failed_finalists = [trial for trial in finalists if trial.why]
    return SearchResult(
        study=study.identity,
        settings=job.model_dump(mode="json", include={"search", "space", "start"}),
        optuna=version("optuna"),
        titles=titles,
        trials=len(trials),
        complete=states.count("complete"),
        pruned=states.count("pruned"),
        failed=states.count("failed"),
        seconds=round(seconds, 1),
        chosen=job.search.choose,
        best=make_finalist(ranked[0].number),
        smallest=make_finalist(find_smallest_within(ranked, job.search.tolerance).number),
        start=make_finalist(0) if trials[0].state == "complete" else None,
        finalists=[make_finalist(trial.number) for trial in [*ranked, *failed_finalists]],
        front=[make_finalist(trial.number) for trial in find_pareto_front(trials)],
        importances=rank_hyperparameters(job.space, trials, job.search.seed),
    )


def _render_page(job: TuneJob, titles: LabeledTitles, result: SearchResult, trials: Sequence[Trial]) -> str:
    final_errors = {finalist.trial: finalist.final_error for finalist in result.finalists}
    summaries = [
        TrialSummary(
            number=trial.number,
            state=trial.state,
            parameters=trial.parameters,
            error=trial.error if trial.errors else None,
            final_error=final_errors.get(trial.number),
            network=str(trial.candidate),
            hyperparameters=list_hyperparameters(trial.candidate),
        )
        for trial in trials
    ]
    description = f"{titles.path}, {format_count(len(titles), 'row')}, sha256 {titles.sha256[:12]}"
    return render_tune_page(job.name, description, asdict(result), summaries)
