"""The commands train, tune, crossvalidate, preprocess and simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from gamesales.cli import progress
from gamesales.cli.render import OPTIONAL_METRICS, format_intervals, format_metrics_table, show_result
from gamesales.cli.table import format_table
from gamesales.cli.values import check_choice
from gamesales.registry.refs import choose_registry, format_command
from gamesales.report.format import format_count
from gamesales.scoring.engines import ENGINES

if TYPE_CHECKING:
    import typer

    from gamesales.cli.completion import complete_choices
    from gamesales.cli.options import JobArgument, JobRegistryOption, JsonOption, PresetOption, ReasonOption
    from gamesales.jobs.crossvalidate import CrossValidationResult
    from gamesales.jobs.prepare import PreprocessingResult, SimulationKind
    from gamesales.jobs.train import TrainingResult
    from gamesales.jobs.tune import Finalist, SearchResult, TuneResult


def train(
    job: JobArgument = Path("jobs/train.toml"),
    preset: PresetOption = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write losses and the learning rate for TensorBoard.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write checkpoints, from which a killed training resumes.")
    ] = None,
    checkpoint_epochs: Annotated[
        int, typer.Option(metavar="N", min=1, help="Write a checkpoint after every N epochs.")
    ] = 10,
    reason: ReasonOption = "",
    registry: JobRegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a version on past titles and register it.

    Examples:
        gamesales train
        gamesales train jobs/train.toml --reason "titles of autumn"
        gamesales train --preset course
    """
    progress.say_reading(job)
    from gamesales.jobs.loading import open_registry
    from gamesales.jobs.train import train as run
    from gamesales.training.train_job import load_job

    settings = load_job(job, preset)
    location = choose_registry(registry, settings.registry)
    with progress.show_training() as (on_stage, on_epoch):
        result = run(
            settings,
            open_registry(location, settings.name),
            reason=reason,
            on_stage=on_stage,
            on_epoch=on_epoch,
            tensorboard=tensorboard,
            checkpoints=checkpoint,
            checkpoint_epochs=checkpoint_epochs,
        )
    show_result(result, lambda result: _format_training(result, location), as_json=as_json)


def _format_training(result: TrainingResult, registry: str) -> str:
    from gamesales.training.intervals import describe_coverage

    version, gate = f"version {result.version}", result.gate
    champion = {f"version {gate.champion}, champion": gate.metrics} if gate.metrics else {}
    return "\n".join(
        [
            f"{version} of {result.model}, trained in {result.seconds:.0f} s; metrics on the test titles:",
            *(
                [f"its weights are the same as those of version {result.same_weights_as}"]
                if result.same_weights_as
                else []
            ),
            "",
            format_metrics_table({version: result.metrics, **champion, **result.baselines}),
            *(["", f"prediction intervals {describe_coverage(result.interval)}"] if result.interval else []),
            "",
            f"report   {result.report}",
            f"promote  {format_command(f'promote {result.version}', registry, result.model)}",
        ]
    )


def tune(
    job: JobArgument = Path("jobs/tune.toml"),
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Stop the search after N trials; by default as in the job file.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Stop the search after M minutes; by default as in the job file.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes that train; by default as in the job file, or one for each core."),
    ] = None,
    storage: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder for the trials, from which a killed search resumes.")
    ] = Path(".tune"),
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray",
            autocompletion=complete_choices("local", "ray"),
            help="Where trials are trained: in processes of this machine, or as tasks of a Ray cluster.",
        ),
    ] = "local",
    reason: ReasonOption = "",
    registry: JobRegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search for the smallest network that is about as accurate as the best, and register it.

    Examples:
        gamesales tune
        gamesales tune --minutes 30 --workers 4
    """
    check_choice("--engine", engine, *ENGINES)
    progress.say_reading(job)
    from gamesales.jobs.loading import open_registry
    from gamesales.jobs.tune import tune as run
    from gamesales.search.tune_job import load_tune_job

    settings = load_tune_job(job, trials=trials, minutes=minutes, workers=workers)
    location = choose_registry(registry, settings.registry)
    with progress.show_search(settings.search) as callbacks:
        opened = open_registry(location, settings.name)
        is_ray = engine == "ray"
        result = run(settings, opened, storage=storage, reason=reason, is_ray=is_ray, callbacks=callbacks)
    show_result(result, lambda result: _format_tune_result(result, location), as_json=as_json)


def _format_tune_result(result: TuneResult, registry: str) -> str:
    search, version = result.search, f"version {result.version}"
    counts = f"{search.complete:,} complete, {search.pruned:,} pruned, {search.failed:,} failed"
    shares = ", ".join(f"{name} {100 * share:.0f}%" for name, share in search.importances.items() if share >= 0.005)
    return "\n".join(
        [
            f"{format_count(search.trials, 'trial')} in {search.seconds / 60:.1f} minutes: {counts}",
            "",
            format_table(
                ["", "trial", "network", "parameters", "error", "final", "spread"],
                [_format_finalist(finalist, search) for finalist in search.finalists],
                optional=("spread", "trial"),
            ),
            "",
            f"importance  {shares or 'too few trials to estimate'}",
            "",
            f"{version} of {result.model} is {describe_choice(search)}; metrics on the test titles:",
            "",
            format_metrics_table({version: result.metrics, **result.baselines}),
            "",
            f"the search  {result.page}",
            f"report      {result.report}",
            f"promote     {format_command(f'promote {result.version}', registry, result.model)}",
        ]
    )


def _format_finalist(finalist: Finalist, search: SearchResult) -> list[str]:
    names = {"best": search.best, "smallest": search.smallest}
    labels = [name for name, chosen in names.items() if chosen.trial == finalist.trial]
    return [
        " and ".join(labels),
        str(finalist.trial),
        "-".join(map(str, finalist.candidate["units"])) + f" {finalist.candidate['activation']}",
        f"{finalist.parameters:,}",
        f"{finalist.error:.2e}",
        "-" if finalist.final_error is None else f"{finalist.final_error:.2e}",
        "-" if finalist.final_spread is None else f"{finalist.final_spread:.2e}",
    ]


def describe_choice(search: SearchResult) -> str:
    """Describe the network that was registered."""
    if search.chosen == "best":
        return f"the best, with {search.best.parameters:,} parameters"
    tolerance = 100 * search.settings["search"]["tolerance"]
    if search.best == search.smallest:
        return (
            f"the best network and the smallest within {tolerance:g}% of it, with {search.best.parameters:,} parameters"
        )
    return (
        f"the smallest network within {tolerance:g}% of the best, with {search.smallest.parameters:,} parameters "
        f"to its {search.best.parameters:,}"
    )


def crossvalidate(
    job: JobArgument = Path("jobs/train.toml"),
    data: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The titles, a file or a URL; by default data.train of the job file."),
    ] = None,
    folds: Annotated[int, typer.Option(metavar="K", min=2, help="The number of folds.")] = 5,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Repeat with N seeds, starting from the seed in the job file.")
    ] = 1,
    plain: Annotated[bool, typer.Option("--plain", help="Only folds of random titles.")] = False,
    grouped: Annotated[
        bool, typer.Option("--grouped", help="Only folds that keep titles with the same features together.")
    ] = False,
    preset: PresetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure by cross-validation how accurate the networks of a job are; nothing is registered.

    Examples:
        gamesales crossvalidate --folds 10
        gamesales crossvalidate --grouped --seeds 3
    """
    progress.say_reading(job)
    from gamesales.jobs.crossvalidate import crossvalidate as run
    from gamesales.training.folds import FOLD_KINDS
    from gamesales.training.train_job import load_job

    is_chosen = {"plain": plain, "grouped": grouped}
    kinds = [kind for kind in FOLD_KINDS if is_chosen[kind]] or FOLD_KINDS
    result = run(load_job(job, preset), data, folds=folds, seeds=seeds, kinds=kinds, on_stage=progress.say)
    show_result(result, _format_crossvalidation, as_json=as_json)


def _format_crossvalidation(result: CrossValidationResult) -> str:
    from gamesales.stats.metrics import HEADINGS, format_metrics

    summaries = [summary for summary in (result.plain, result.grouped) if summary]
    rows = []
    for summary in summaries:
        if len(summary.seeds) == 1:
            rows.append([summary.kind, *format_metrics(summary.mean)])
            continue
        rows += [[f"{summary.kind}, seed {run.seed}", *format_metrics(run.metrics)] for run in summary.seeds]
        rows.append([f"{summary.kind}, mean", *format_metrics(summary.mean)])
        rows.append([f"{summary.kind}, standard deviation", *format_metrics(summary.standard_deviation)])
    titles = f"{format_count(result.rows, 'title')} of {result.data} ({result.distinct:,} distinct)"
    lines = [
        f"{result.folds}-fold cross-validation on {titles}",
        "",
        format_table(["", *HEADINGS], rows, optional=OPTIONAL_METRICS),
        "",
        *(f"{summary.kind}, 95% confidence intervals: {format_intervals(summary.intervals)}" for summary in summaries),
    ]
    if result.noise_scaled_mse is not None:
        noise = f"{result.noise_scaled_mse:.2e}"
        lines += ["", f"titles with the same features differ by a scaled MSE of {noise}, which no model can predict"]
    return "\n".join(lines)


def preprocess(
    training: Annotated[
        Path, typer.Argument(metavar="TRAIN", help="The training file, which the scaler is fitted on.")
    ],
    test: Annotated[Path, typer.Argument(metavar="TEST", help="The test file.")],
    contract: Annotated[Path, typer.Option(metavar="FILE", help="The contract.")] = Path("data/contract.toml"),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the scaling of every column.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Scale a training and a test file to 0..1 and write a …_scaled.csv for each, as in the Keras course.

    Examples:
        gamesales preprocess training.csv test.csv --verbose
    """
    from gamesales.data.contract import Contract
    from gamesales.jobs.prepare import preprocess as run

    result = run(training, test, Contract.from_toml(contract))
    show_result(result, lambda result: _format_preprocessing(result, verbose), as_json=as_json)


def _format_preprocessing(result: PreprocessingResult, is_verbose: bool) -> str:
    notes = result.notes if is_verbose else result.notes[:1]
    return "\n".join([*notes, f"wrote {result.training} and {result.test}"])


def simulate(
    rows: Annotated[int, typer.Option(metavar="N", help="The number of titles.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="A .csv or .parquet file.")],
    kind: Annotated[
        str,
        typer.Option(
            metavar="features|catalog",
            autocompletion=complete_choices("features", "catalog"),
            help="Nine numbers and flags, or a store's catalog with genres, a date and missing cells.",
        ),
    ] = "features",
    seed: Annotated[int, typer.Option(metavar="N", help="The seed of the random titles.")] = 1,
    ids: Annotated[bool, typer.Option("--ids", help="Add the columns title_id and title.")] = False,
    no_earnings: Annotated[bool, typer.Option("--no-earnings", help="Leave out total_earnings.")] = False,
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Draw continuous ratings and prices, so that rows rarely repeat.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate titles with earnings that follow a known formula with noise.

    Examples:
        gamesales simulate --rows 1000 --output titles.csv --ids
        gamesales simulate --kind catalog --rows 2000 --output catalog.csv
    """
    check_choice("--kind", kind, "features", "catalog")
    from gamesales.jobs.prepare import simulate as run

    chosen = cast("SimulationKind", kind)
    result = run(output, rows, seed=seed, kind=chosen, ids=ids, earnings=not no_earnings, continuous=continuous)
    show_result(
        result, lambda result: f"wrote {format_count(result.rows, 'title')} to {result.output}", as_json=as_json
    )
