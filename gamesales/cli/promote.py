"""The commands evaluate, promote, rollback, alias and retire: how good a version is, and which version is live."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from gamesales.cli.commands import CommandGroup
from gamesales.cli.render import (
    format_intervals,
    format_metrics_table,
    show_result,
    show_text,
)
from gamesales.cli.table import format_table
from gamesales.cli.terminal import paint, to_one_line
from gamesales.cli.values import ALIAS, NAME, REGISTRY
from gamesales.errors import GateRefusedError
from gamesales.jobs.loading import open_ref, open_registry
from gamesales.jobs.retention import retire as retire_version
from gamesales.registry.refs import format_command
from gamesales.report.format import format_count, format_minute
from gamesales.stats.amounts import amounts_in, format_amount, read_recorded_unit

if TYPE_CHECKING:
    import typer

    from gamesales.cli.options import (
        AliasArgument,
        AliasOption,
        JsonOption,
        NameOption,
        PublicKeyOption,
        ReasonOption,
        RefArgument,
        RegistryOption,
    )
    from gamesales.jobs.evaluate import EvaluationResult
    from gamesales.jobs.promote import AliasDeletion, AliasList, Promotion
    from gamesales.jobs.retention import RetirementResult


def evaluate(
    ref: RefArgument,
    data: Annotated[
        str, typer.Option(metavar="FILE", help="Titles with their earnings, a CSV or Parquet file or its URL.")
    ],
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Measure the errors of a version on titles that it was not trained on, and record the metrics.

    Examples:
        gamesales evaluate 4 --data data/sales_data_test.csv
    """
    from gamesales.jobs.evaluate import evaluate as run

    evaluation = run(*open_ref(registry, ref, name), data, reason=reason)
    show_result(evaluation, _format_evaluation, as_json=as_json)


def _format_evaluation(evaluation: EvaluationResult) -> str:
    version = f"version {evaluation.version}"
    titles = f"{format_count(evaluation.rows, 'title')} of {evaluation.data}"
    if evaluation.rejected:
        titles += f"; {evaluation.rejected:,} rejected: {'; '.join(evaluation.first_rejects)}"
    recorded = f"recorded as event {evaluation.sequence}" if evaluation.recorded else None
    return "\n".join(
        [
            f"{version} of {evaluation.model} on {titles}",
            "",
            format_metrics_table({version: evaluation.metrics}),
            "",
            f"95% confidence intervals: {format_intervals(evaluation.intervals)}",
            recorded or "already recorded; nothing was written",
        ]
    )


def promote(
    ref: RefArgument,
    alias: AliasOption = ALIAS,
    reason: ReasonOption = "",
    holdout: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Compare on these titles, a file or a URL; by default on the test titles of training.",
        ),
    ] = None,
    require_signature: PublicKeyOption = None,
    force: Annotated[bool, typer.Option("--force", help="Override the gate; needs --reason.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the decision of the gate, and change nothing.")
    ] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion, which scores from now on, if the gate accepts it.

    Examples:
        gamesales promote 4 --dry-run
        gamesales promote 4 --reason "smaller errors"
    """
    from gamesales.jobs.promote import promote as run

    opened, parsed = open_ref(registry, ref, name)
    try:
        promotion = run(
            opened,
            parsed,
            alias=alias,
            reason=reason,
            force=force,
            dry_run=dry_run,
            holdout=holdout,
            public_key=require_signature,
        )
    except GateRefusedError as refusal:
        evidence = refusal.evidence
        comparison: Any = evidence.get("comparison")
        if comparison and not as_json:
            with amounts_in(read_recorded_unit(comparison)):
                show_text(lambda: _format_comparison(evidence, "refused"), sys.stdout)
        raise
    show_result(promotion, _format_promotion, as_json=as_json)


def _format_promotion(promotion: Promotion) -> str:
    forced = f" ({paint('forced')})" if promotion.forced and not promotion.dry_run else ""
    move = f"{_format_move(promotion)}{forced}"
    if not promotion.comparison:
        return move
    return f"{_format_comparison(asdict(promotion), 'forced' if promotion.forced else 'passes')}\n{move}"


def rollback(
    alias: AliasOption = ALIAS,
    reason: ReasonOption = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the previous version, check its files, and change nothing.")
    ] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Set an alias back to its previous version; a second rollback goes back one more version.

    Examples:
        gamesales rollback --dry-run
        gamesales rollback --reason "errors of last night"
    """
    from gamesales.jobs.promote import roll_back

    promotion = roll_back(open_registry(registry, name), alias=alias, reason=reason, dry_run=dry_run)
    show_result(promotion, _format_rollback, as_json=as_json)


def _format_rollback(promotion: Promotion) -> str:
    alias, version = f"{promotion.model}@{promotion.alias}", f"version {promotion.version} again"
    if promotion.dry_run:
        return f"{alias} would become {version}{_format_previous(promotion)}; nothing was changed"
    return f"{alias} is {version}{_format_previous(promotion)}"


def set_alias(
    alias: AliasArgument,
    ref: RefArgument,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Set an alias to a version, after checking its files; only promote sets the champion.

    Examples:
        gamesales alias set challenger 4 --reason "on trial"
    """
    from gamesales.jobs.promote import set_alias as run

    opened, parsed = open_ref(registry, ref, name)
    show_result(run(opened, alias, parsed, reason), _format_move, as_json=as_json)


def delete_alias(
    alias: AliasArgument,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Delete an alias; deleting the champion needs --reason, because nothing scores without a champion.

    Examples:
        gamesales alias delete challenger
    """
    from gamesales.jobs.promote import delete_alias as run

    deletion = run(open_registry(registry, name), alias, reason)
    show_result(deletion, _format_deletion, as_json=as_json)


def _format_deletion(deletion: AliasDeletion) -> str:
    return f"{deletion.model}@{deletion.alias} is deleted (was {deletion.previous_version})"


def list_aliases(registry: RegistryOption = REGISTRY, name: NameOption = NAME, as_json: JsonOption = False) -> None:
    """List the version of each alias, when, by whom and why it was set, and the previous version.

    Examples:
        gamesales alias list
    """
    from gamesales.jobs.promote import list_aliases as run

    show_result(run(open_registry(registry, name)), _format_aliases, as_json=as_json)


def _format_aliases(listed: AliasList) -> str:
    if not listed.aliases:
        promote = format_command("promote REF", listed.registry, listed.model)
        return f"no alias of {listed.model} in {listed.registry}. Promote a version: {promote}"
    rows = [
        [row.alias, str(row.version), format_minute(row.since), row.actor, str(row.previous_version or "-"), row.reason]
        for row in listed.aliases
    ]
    header = ["alias", "version", "since", "by", "before", "why"]
    return format_table(header, rows, optional=("by", "before", "since"), states={"alias"})


def retire(
    ref: RefArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, for the log; required.")] = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Retire a version for good; no alias may name it, and its history stays.

    Examples:
        gamesales retire 2 --reason "trained on old titles"
    """
    retirement = retire_version(*open_ref(registry, ref, name), reason)
    show_result(retirement, _format_retirement, as_json=as_json)


def _format_retirement(retirement: RetirementResult) -> str:
    version = f"version {retirement.version} of {retirement.model}"
    if retirement.changed:
        return f"{version} is {paint('retired')}"
    since = f"was retired on {format_minute(retirement.time)} UTC by {retirement.actor}"
    reason = f": {retirement.reason}" if retirement.reason else ""
    return to_one_line(f"{version} {since}{reason}; nothing was changed")


def _format_comparison(evidence: Mapping[str, Any], verdict: str) -> str:
    """Lay out the comparison of candidate and champion."""
    from gamesales.registry.gate import format_percent

    comparison = evidence["comparison"]
    margin, confidence = format_percent(comparison["margin"]), format_percent(comparison["confidence"])
    rows = [
        [f"version {comparison['champion']}, champion", _format_cents(comparison["champion_mae"])],
        [f"version {comparison['candidate']}", _format_cents(comparison["candidate_mae"])],
        ["difference", _format_cents(comparison["difference"])],
        [f"{confidence} upper bound", _format_cents(comparison["bound"])],
        [f"limit, {margin} of version {comparison['champion']}'s MAE", _format_cents(comparison["limit"])],
    ]
    table = format_table(
        [f"on {format_count(comparison['rows'], 'title')} of {evidence['holdout']['path']}", "MAE"], rows
    )
    return f"{table}\n{paint(verdict)}\n"


def _format_cents(amount: float) -> str:
    return format_amount(amount, 2, significant=4)


def _format_move(promotion: Promotion) -> str:
    alias, version = f"{promotion.model}@{promotion.alias}", f"version {promotion.version}"
    if not promotion.changed:
        return f"{alias} is already {version}; nothing was changed"
    if promotion.dry_run:
        return f"{alias} would become {version}{_format_previous(promotion)}; nothing was changed"
    return f"{alias} is now {version}{_format_previous(promotion)}"


def _format_previous(promotion: Promotion) -> str:
    return f" (was {promotion.previous_version or 'unset'})"


alias = CommandGroup(
    "Set, delete or list aliases, such as challenger.",
    {"set": set_alias, "delete": delete_alias, "list": list_aliases},
)
