"""train, preprocess, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamesales.cli import progress
from gamesales.cli.options import REGISTRY, JsonOption, ReasonOption, RegistryOption
from gamesales.cli.render import metric_cells, metrics_table, show_json, table
from gamesales.registry.refs import short_ref

if TYPE_CHECKING:
    from gamesales.jobs.crossvalidate import CrossValidated
    from gamesales.jobs.tune import Contender, Searched, Tuned


def train(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="The job file.")] = Path("jobs/train.toml"),
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take network and training from here: course.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write TensorBoard's logs there: losses and learning rate.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep there how far training is; if killed, it goes on from it.")
    ] = None,
    checkpoint_epochs: Annotated[
        int, typer.Option(metavar="N", min=1, help="After how many epochs it is kept anew.")
    ] = 10,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Train a version on past titles and register it."""
    from gamesales.jobs.loading import open_registry
    from gamesales.jobs.train import train as run
    from gamesales.training.checkpoint import Checkpoints
    from gamesales.training.intervals import in_words
    from gamesales.training.train_job import load_job

    settings = load_job(job, preset)
    with progress.epochs() as on_epoch:
        trained = run(
            settings,
            open_registry(registry, settings.name),
            reason=reason,
            on_stage=progress.say,
            on_epoch=on_epoch,
            tensorboard=tensorboard,
            checkpoints=Checkpoints(checkpoint, checkpoint_epochs) if checkpoint else None,
        )
    if as_json:
        show_json(trained)
        return
    print(
        f"version {trained.version} of {trained.model}, trained in {trained.seconds:.0f} s, on titles it never saw:\n"
    )
    print(metrics_table({f"version {trained.version}": trained.metrics, **trained.baselines}))
    if trained.interval:
        print(f"\nprediction intervals {in_words(trained.interval)}")
    print(f"\nreport   {trained.report}")
    print(f"promote  gamesales promote {short_ref(trained.model, trained.version)}")


def preprocess(
    training: Annotated[
        Path, typer.Argument(metavar="TRAIN", help="The training file; the scaler is fitted on it alone.")
    ],
    test: Annotated[Path, typer.Argument(metavar="TEST", help="The test file.")],
    contract: Annotated[Path, typer.Option(metavar="FILE", help="The contract.")] = Path("data/contract.toml"),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell the scaling of every column.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Scale a training and a test file to 0..1 and write …_scaled.csv beside each (the course's first step)."""
    from gamesales.data.contract import Contract
    from gamesales.jobs.prepare import preprocess as run

    done = run(training, test, Contract.from_toml(contract))
    if as_json:
        show_json(done)
        return
    for note in done.notes if verbose else done.notes[:1]:
        print(note)
    print(f"wrote {done.training} and {done.test}")


def simulate(
    rows: Annotated[int, typer.Option(metavar="N", help="How many titles.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="A .csv or .parquet file.")],
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed gives other titles.")] = 1,
    ids: Annotated[bool, typer.Option("--ids", help="Add title_id and a made-up title.")] = False,
    no_earnings: Annotated[bool, typer.Option("--no-earnings", help="Leave out total_earnings.")] = False,
    continuous: Annotated[
        bool,
        typer.Option("--continuous", help="Draw ratings and prices from whole ranges: hardly a row repeats."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make up a store's titles, with earnings that follow a known formula and 1 % noise."""
    from gamesales.jobs.prepare import simulate as run

    done = run(output, rows, seed=seed, ids=ids, earnings=not no_earnings, continuous=continuous)
    if as_json:
        show_json(done)
        return
    print(f"wrote {done.rows:,} titles to {done.output}")


def crossvalidate(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="The job file.")] = Path("jobs/train.toml"),
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Titles to use instead of the job's data.train.")
    ] = None,
    folds: Annotated[int, typer.Option(metavar="K", min=2, help="How many folds.")] = 5,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="So many times, with the job's seed and those after it.")
    ] = 1,
    plain: Annotated[bool, typer.Option("--plain", help="Folds of titles at random only.")] = False,
    grouped: Annotated[
        bool, typer.Option("--grouped", help="Folds that keep titles with the same features together only.")
    ] = False,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take network and training from here: course.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how good networks of a job are on titles that they did not learn from; nothing is registered."""
    from gamesales.jobs.crossvalidate import crossvalidate as run
    from gamesales.training.kfold import KINDS
    from gamesales.training.train_job import load_job

    wanted = {"plain": plain, "grouped": grouped}
    kinds = [kind for kind in KINDS if wanted[kind]] or KINDS
    done = run(load_job(job, preset), data, folds=folds, seeds=seeds, kinds=kinds, on_stage=progress.say)
    if as_json:
        show_json(done)
        return
    print(f"{done.folds}-fold cross-validation on {done.rows:,} titles of {done.data} ({done.distinct:,} distinct)\n")
    print(_table(done))
    for one in (done.plain, done.grouped):
        if one:
            mae, scaled = one.intervals["mae"], one.intervals["scaled_mse"]
            print(
                f"\n{one.kind}, 95 % sure: MAE ${mae[0]:,.0f} to ${mae[1]:,.0f}, "
                f"scaled MSE {scaled[0]:.2e} to {scaled[1]:.2e}",
                end="",
            )
    print()
    if done.noise_scaled_mse is not None:
        noise = f"{done.noise_scaled_mse:.2e}"
        print(f"\ntitles with the same features differ by a scaled MSE of {noise}, which no model predicts")


def _table(done: CrossValidated) -> str:
    rows = []
    for one in (done.plain, done.grouped):
        if one is None:
            continue
        if len(one.seeds) == 1:
            rows.append([one.kind, *metric_cells(one.mean)])
            continue
        rows += [[f"{one.kind}, seed {seeded.seed}", *metric_cells(seeded.metrics)] for seeded in one.seeds]
        rows.append([f"{one.kind}, mean", *metric_cells(one.mean)])
        rows.append([f"{one.kind}, standard deviation", *metric_cells(one.standard_deviation)])
    return table(["", "scaled MSE", "MAE", "RMSE", "R2", "MAPE"], rows)


def tune(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="The job file.")] = Path("jobs/tune.toml"),
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="End the search after so many trials; else as the job says.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="End the search after so many minutes; else as the job says.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="How many processes train; else as the job says, or one a core.")
    ] = None,
    storage: Annotated[
        Path, typer.Option(metavar="DIR", help="Keep the trials there; if killed, the search goes on from them.")
    ] = Path(".tune"),
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Search for a small network that is as accurate as the best, and register it."""
    from gamesales.cli.search_progress import watching
    from gamesales.jobs.loading import open_registry
    from gamesales.jobs.tune import tune as run
    from gamesales.search.tune_job import load_tune_job

    settings = load_tune_job(job, trials=trials, minutes=minutes, workers=workers)
    with watching(settings.search) as watch:
        tuned = run(settings, open_registry(registry, settings.name), storage=storage, reason=reason, watch=watch)
    if as_json:
        show_json(tuned)
    else:
        print(_told(tuned))


def _told(tuned: Tuned) -> str:
    search, version = tuned.search, f"version {tuned.version}"
    counted = f"{search.complete:,} complete, {search.pruned:,} pruned, {search.failed:,} failed"
    mattered = ", ".join(f"{name} {100 * share:.0f} %" for name, share in search.importances.items() if share >= 0.005)
    return "\n".join(
        [
            f"{search.trials:,} trials in {search.seconds / 60:.1f} minutes: {counted}",
            "",
            table(
                ["", "trial", "network", "parameters", "error", "in the final", "spread"],
                [_cells(one, search) for one in search.finalists],
            ),
            "",
            f"what mattered  {mattered or 'too few trials to tell'}",
            "",
            f"{version} of {tuned.model} is {as_sentence(search)}; on titles it never saw:",
            "",
            metrics_table({version: tuned.metrics, **tuned.baselines}),
            "",
            f"the search  {tuned.page}",
            f"report      {tuned.report}",
            f"promote     gamesales promote {short_ref(tuned.model, tuned.version)}",
        ]
    )


def _cells(one: Contender, search: Searched) -> list[str]:
    marks = {search.best.trial: "best", search.smallest.trial: "smallest"}
    mark = "best and smallest" if search.best == search.smallest else ""
    return [
        mark if mark and one.trial == search.best.trial else marks.get(one.trial, ""),
        str(one.trial),
        "-".join(map(str, one.candidate["units"])) + f" {one.candidate['activation']}",
        f"{one.parameters:,}",
        f"{one.error:.2e}",
        "-" if one.final_error is None else f"{one.final_error:.2e}",
        "-" if one.final_spread is None else f"{one.final_spread:.2e}",
    ]


def as_sentence(search: Searched) -> str:
    """Tell which network was registered, as what follows "is"."""
    if search.chosen == "best":
        return f"the best, with {search.best.parameters:,} parameters"
    share = 100 * search.settings["search"]["tolerance"]
    if search.best == search.smallest:
        return f"the best network and the smallest within {share:g} % of it, with {search.best.parameters:,} parameters"
    return (
        f"the smallest network within {share:g} % of the best, with {search.smallest.parameters:,} parameters "
        f"to its {search.best.parameters:,}"
    )


COMMANDS = (train, tune, crossvalidate, preprocess, simulate)
