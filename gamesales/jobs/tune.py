"""How small a network gives the same accuracy? Search, look at the best again, train one of them and register it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import Titles
from gamesales.errors import JobFileError
from gamesales.jobs.train import Additions, train
from gamesales.registry.registry import ModelRegistry
from gamesales.report.tune_page import TunePage, render_tune_page
from gamesales.report.tune_plots import Attempt
from gamesales.scoring.options import cores
from gamesales.search.pool import Known, crossing
from gamesales.search.sampler import importances
from gamesales.search.search import Search, Watch
from gamesales.search.space import Candidate, parts
from gamesales.search.study import PAGE_FILE, STORAGE, Study
from gamesales.search.trials import Trial, front, ranking, smallest_within
from gamesales.search.tune_job import TuneJob
from gamesales.training import intervals as calibrate
from gamesales.training import parity
from gamesales.training.export_check import check_export
from gamesales.training.metrics import Metrics
from gamesales.training.network import build_network, seed_everything
from gamesales.training.scaling import fit_scaler
from gamesales.training.train_job import read_data

QUIET = Watch()


@dataclass(frozen=True)
class Contender:
    """A candidate with its errors: mean over the folds of the scaled MSE, in the search and in the final.

    ``…_spread`` is the standard deviation between folds. The final's are None for who was not in it, or failed there.
    """

    trial: int
    parameters: int
    candidate: dict[str, Any]
    error: float
    spread: float
    final_error: float | None
    final_spread: float | None


@dataclass(frozen=True)
class Searched:
    """What a search found; the manifest of the version keeps it.

    ``best`` had the lowest error in the final, ``smallest`` is the smallest finalist whose error is at most the
    tolerance above that, and ``chosen`` says which of them is trained; ``start`` is the first trial, None if it failed.
    ``front`` holds the trials that none beats in both error and size. ``importances`` are shares of what explains the
    error. ``seconds`` are those of all sessions.
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
    best: Contender
    smallest: Contender
    start: Contender | None
    finalists: list[Contender]
    front: list[Contender]
    importances: dict[str, float]


@dataclass(frozen=True)
class Tuned:
    """A search, and the version that came of it, with its figures on the test file and those of the baselines."""

    model: str
    version: int
    bundle: str
    report: str
    page: str
    storage: str
    search: Searched
    metrics: Metrics
    baselines: dict[str, Metrics]
    interval: dict[str, Any] | None


def tune(
    job: TuneJob, registry: ModelRegistry, *, storage: Path = STORAGE, reason: str = "", watch: Watch = QUIET
) -> Tuned:
    """Search, train the winner on all titles of the training file, and register it.

    Args:
        job: what to choose from, and for how long.
        registry: where to register; nothing is written to it before the winner is trained.
        storage: the folder of searches; one that was killed goes on from there.
        reason: why, for the log.
        watch: who is told of what.
    """
    watch.stage("reading titles")
    contract, past, _ = read_data(job.data)
    # What calibrates intervals is held back from the search too.
    learnt, _ = calibrate.divide(job.train_job(job.start), past)
    study = Study.open(storage, job, contract, learnt)
    watch.stage("starting TensorFlow and checking that networks of the space can be exported")
    _check_exports(job, contract, learnt)

    watch.stage("searching")
    search = Search(job, learnt, study, watch)
    with crossing(Known(contract, learnt.features, learnt.earnings), job.search.workers or cores()) as cross:
        trials = search.run(cross)
        watch.stage("training the best again, on other folds and from other seeds")
        again = search.look_again(cross)
    found = _found(job, study, len(learnt), trials, again, search.seconds)
    page = study.write(PAGE_FILE, render_tune_page(_page(job, learnt, found, trials)))

    winner = Candidate.model_validate((found.smallest if found.chosen == "smallest" else found.best).candidate)
    watch.stage(f"training the {found.chosen}, {winner}, on all titles")
    trained = train(
        job.train_job(winner),
        registry,
        reason=reason or f"the {found.chosen} of {found.trials:,} trials",
        on_stage=watch.stage,
        on_epoch=watch.epoch,
        additions=Additions({"search": asdict(found)}, {PAGE_FILE: page.read_bytes()}, {"Search": in_words(found)}),
    )
    return Tuned(
        model=trained.model,
        version=trained.version,
        bundle=trained.bundle,
        report=trained.report,
        page=f"{trained.bundle}/{PAGE_FILE}",
        storage=str(study.folder),
        search=found,
        metrics=trained.metrics,
        baselines=trained.baselines,
        interval=trained.interval,
    )


def in_words(found: Searched) -> str:
    """Tell in a line where a version comes from."""
    within = "" if found.chosen == "best" else f" within {100 * found.settings['search']['tolerance']:g} % of the best"
    return (
        f"the {found.chosen}{within} of {found.trials:,} trials: {found.complete:,} complete, {found.pruned:,} pruned, "
        f"{found.failed:,} failed; study {found.study[:12]}; see {PAGE_FILE} beside this page"
    )


def _check_exports(job: TuneJob, contract: Contract, learnt: Titles) -> None:
    """Fail in seconds, before the search, where a winner could not be turned into a graph that works.

    Raises: JobFileError: an activation that Keras does not know, or that can't be exported.
    """
    _, scaling = fit_scaler(contract.feature_names, contract.target.name, learnt.features, learnt.earnings)
    seed_everything(job.search.seed)
    probe = parity.sample_contract(contract, learnt.features, parity.ROWS, job.search.seed)
    for activation in dict.fromkeys([job.start.activation, *job.space.activation.choices]):
        candidate = job.start.model_copy(update={"units": (4,), "activation": activation})
        try:
            check_export(build_network(candidate.network(), len(contract.features)), scaling, probe)
        except JobFileError as error:
            raise JobFileError(f"space.activation, {activation!r}: {error}", hint=error.hint) from None


def _found(
    job: TuneJob, study: Study, titles: int, trials: Sequence[Trial], again: Sequence[Trial], seconds: float
) -> Searched:
    """Sum a search up.

    Args: again: the finalists, with the errors of the final.
    """
    by_number, judged = {trial.number: trial for trial in trials}, {trial.number: trial for trial in ranking(again)}

    def contender(number: int) -> Contender:
        trial, final = by_number[number], judged.get(number)
        return Contender(
            trial=number,
            parameters=trial.parameters,
            candidate=trial.candidate.model_dump(mode="json"),
            error=trial.error,
            spread=trial.spread,
            final_error=final.error if final else None,
            final_spread=final.spread if final else None,
        )

    spec = job.search
    states = [trial.state for trial in trials]
    return Searched(
        study=study.identity,
        settings=job.model_dump(mode="json", include={"search", "space", "start"}),
        optuna=installed("optuna"),
        titles=titles,
        trials=len(trials),
        complete=states.count("complete"),
        pruned=states.count("pruned"),
        failed=states.count("failed"),
        seconds=round(seconds, 1),
        chosen=spec.choose,
        best=contender(ranking(again)[0].number),
        smallest=contender(smallest_within(ranking(again), spec.tolerance).number),
        start=contender(0) if trials[0].state == "complete" else None,
        finalists=[contender(trial.number) for trial in [*ranking(again), *(one for one in again if one.why)]],
        front=[contender(trial.number) for trial in front(trials)],
        importances=importances(job.space, trials, spec.seed),
    )


def _page(job: TuneJob, learnt: Titles, found: Searched, trials: Sequence[Trial]) -> TunePage:
    final = {one.trial: one.final_error for one in found.finalists}
    return TunePage(
        model=job.name,
        attempts=[
            Attempt(
                number=trial.number,
                state=trial.state,
                parameters=trial.parameters,
                error=trial.error if trial.errors else None,
                final_error=final.get(trial.number),
                network=str(trial.candidate),
                parts=parts(trial.candidate),
            )
            for trial in trials
        ],
        best=found.best.trial,
        smallest=found.smallest.trial,
        chosen=found.chosen,
        tolerance=job.search.tolerance,
        folds=job.search.folds,
        front=[one.trial for one in found.front],
        importances=found.importances,
        facts={
            "Training titles": f"{learnt.path}, {len(learnt):,} rows, sha256 {learnt.sha256[:12]}",
            "Trials": f"{found.complete:,} complete, {found.pruned:,} pruned, {found.failed:,} failed",
            "Time": f"{found.seconds / 60:.1f} minutes",
            "Study": found.study,
            "Seed": str(job.search.seed),
            "Optuna": found.optuna,
        },
    )
