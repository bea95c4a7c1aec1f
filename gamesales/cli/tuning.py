"""tune: how small a network gives the same accuracy?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamesales.cli.options import REGISTRY, JsonOption, ReasonOption, RegistryOption
from gamesales.cli.output import metrics_table, show_json, table
from gamesales.registry.refs import short_ref

if TYPE_CHECKING:
    from gamesales.jobs.search.tune import Contender, Searched, Tuned


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
    from gamesales.cli.search_table import watching
    from gamesales.jobs.loading import open_registry
    from gamesales.jobs.search.tune import tune as run
    from gamesales.jobs.search.tune_job import load_tune_job

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


COMMANDS = (tune,)
