"""crossvalidate: how good are networks of a job, whatever the seed?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamesales.cli import progress
from gamesales.cli.options import JsonOption
from gamesales.cli.output import metric_cells, show_json, table

if TYPE_CHECKING:
    from gamesales.jobs.training.crossvalidate import CrossValidated


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
    from gamesales.jobs.training.crossvalidate import crossvalidate as run
    from gamesales.jobs.training.kfold import KINDS
    from gamesales.jobs.training.train_job import load_job

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
            mae, scaled = one.intervals["mae_usd"], one.intervals["scaled_mse"]
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


COMMANDS = (crossvalidate,)
