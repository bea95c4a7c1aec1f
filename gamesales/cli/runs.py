"""What a scoring run did, or would do, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gamesales.cli.render import table
from gamesales.jobs.score import Planned
from gamesales.scoring.run_report import RunReport


def show_run(done: RunReport) -> None:
    """Tell what a run did."""
    if done.already_done:
        print(f"{done.run_date} is done already, by the same version on the same inputs (--fresh does it again):")
    scored = f"{done.rows_scored:,} of {done.rows_in:,} titles scored"
    resumed = f", {done.shards_resumed} of {done.shards} shards were done before" if done.shards_resumed else ""
    print(f"{scored} by version {done.model_version} in {done.seconds:.2f} s{resumed}")
    if done.rows_rejected:
        print(f"{done.rows_rejected:,} rejected, with reasons: {done.rejects}")
    if done.rows_outside_training_range:
        print(f"{done.rows_outside_training_range:,} outside the range of the training titles (flagged)")
    if done.doubled_ids and done.doubled_ids["ids"]:
        some = ", ".join(done.doubled_ids["examples"])
        print(
            f"{done.doubled_ids['ids']:,} ids come more than once, {done.doubled_ids['rows']:,} rows too many: {some}"
        )
    if done.drift and done.drift["drifted"]:
        print(f"drift: the titles are not those of training in {', '.join(done.drift['drifted'])}\n")
        print(_drift_table(done.drift["columns"]) + "\n")
    if done.shadow:
        print(_shadow_words(done.shadow))
    print(f"written to {done.output}")


def _shadow_words(shadow: Mapping[str, Any]) -> str:
    """Tell in a line how a second version differs; where it does stands in the report."""
    if not shadow["rows_compared"]:
        return f"shadow: version {shadow['model_version']} scored none of them"
    beyond = ", ".join(f"{share:.1%} of titles by more than {by}" for by, share in shadow["share_beyond"].items())
    mean, off = shadow["mean_difference"], shadow["mean_absolute_difference"]
    left = f"; {shadow['rows_not_scored']:,} it could not score" if shadow["rows_not_scored"] else ""
    return (
        f"shadow: version {shadow['model_version']} says {abs(mean):,.0f} dollars {'more' if mean >= 0 else 'less'} on "
        f"average, {off:,.0f} apart; {beyond}{left}"
    )


def _drift_table(columns: Sequence[Mapping[str, Any]]) -> str:
    """Lay out drift, a line for each column, the worst first; see docs/drift.md for how to read it."""
    ordered = sorted(columns, key=lambda one: one["limit"] - one["psi"])
    rows = [
        [
            one["column"],
            f"{one['psi']:.3f}",
            f"{one['psi_by_chance']:.3f}",
            f"{one['limit']:.3f}",
            "-" if one["share_outside"] is None else f"{one['share_outside']:.1%}".replace("%", " %"),
            "drifted" if one["drifted"] else "",
        ]
        for one in ordered
    ]
    return table(["column", "PSI", "by chance", "limit", "outside", ""], rows)


def show_planned(plan: Planned) -> None:
    """Tell what a run would do."""
    print(f"{plan.run_date}: {plan.rows:,} rows of {len(plan.inputs):,} files, by version {plan.model_version}")
    if plan.already_done:
        print(f"done already; nothing would be written to {plan.output}")
        return
    for one in plan.inputs[:20]:
        print(f"  {one['name']}  {one['rows']:,} rows, {one['size']:,} bytes")
    if len(plan.inputs) > 20:
        print("  …")
    left = f", {plan.shards_resumed} of them done before" if plan.shards_resumed else ""
    print(f"in {plan.shards} shards{left}; passing through: {', '.join(plan.kept) or 'nothing'}")
    if plan.estimated_seconds is not None:
        print(f"about {plan.estimated_seconds:.1f} s, to {plan.output}")
