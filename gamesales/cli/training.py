"""train, preprocess, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamesales.cli import progress
from gamesales.cli.options import REGISTRY, JsonOption, ReasonOption, RegistryOption
from gamesales.cli.output import metrics_table, show_json
from gamesales.registry.refs import short_ref


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
    from gamesales.jobs.training.calibrate import in_words
    from gamesales.jobs.training.checkpoint import Checkpoints
    from gamesales.jobs.training.train import train as run
    from gamesales.jobs.training.train_job import load_job

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
    from gamesales.jobs.preprocess import preprocess as run

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
    from gamesales.jobs.simulate import simulate as run

    done = run(output, rows, seed=seed, ids=ids, earnings=not no_earnings, continuous=continuous)
    if as_json:
        show_json(done)
        return
    print(f"wrote {done.rows:,} titles to {done.output}")


COMMANDS = (train, preprocess, simulate)
