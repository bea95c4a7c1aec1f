"""The commands evaluate, promote, rollback, alias and retire: how good a version is, and which version is live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamesales.cli.main import CommandGroup
from gamesales.cli.options import (
    ALIAS,
    NAME,
    REGISTRY,
    AliasOption,
    JsonOption,
    NameOption,
    ReasonOption,
    RefArgument,
    RegistryOption,
)
from gamesales.cli.render import format_metrics_table, format_minute, format_table, show_json, to_one_line
from gamesales.errors import GateRefusedError
from gamesales.jobs import promote as jobs
from gamesales.jobs.evaluate import evaluate as run_evaluate
from gamesales.jobs.loading import open_registry
from gamesales.jobs.retention import retire as retire_version
from gamesales.registry.gate import format_percent
from gamesales.registry.refs import parse_ref

if TYPE_CHECKING:
    from gamesales.jobs.evaluate import EvaluationResult
    from gamesales.jobs.promote import Promotion


def evaluate(
    ref: RefArgument,
    data: Annotated[Path, typer.Option(metavar="FILE", help="A CSV or Parquet file of titles with their earnings.")],
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Measure the errors of a version on titles that it was not trained on, and record the metrics."""
    parsed = parse_ref(ref, name)
    evaluation = run_evaluate(open_registry(registry, parsed.model), parsed, data, reason=reason)
    if as_json:
        show_json(evaluation)
        return
    version = f"version {evaluation.version}"
    titles = f"{evaluation.rows:,} titles of {evaluation.data}"
    print(f"{version} of {evaluation.model} on {titles}{_format_rejects(evaluation)}\n")
    print(format_metrics_table({version: evaluation.metrics}))
    (low_mae, high_mae), (low_mse, high_mse) = evaluation.intervals["mae"], evaluation.intervals["scaled_mse"]
    mae, mse = f"MAE ${low_mae:,.0f} to ${high_mae:,.0f}", f"scaled MSE {low_mse:.2e} to {high_mse:.2e}"
    print(f"\n95% confidence intervals: {mae}, {mse}")
    recorded = f"recorded as event {evaluation.sequence}" if evaluation.recorded else None
    print(recorded or "already recorded; nothing was written")


def _format_rejects(evaluation: EvaluationResult) -> str:
    if not evaluation.rejected:
        return ""
    return f"; {evaluation.rejected:,} rejected: {'; '.join(evaluation.first_rejects)}"


def promote(
    ref: RefArgument,
    alias: AliasOption = ALIAS,
    reason: ReasonOption = "",
    holdout: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare on these titles instead of the holdout of the training."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Override the gate; needs --reason.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the gate, and change nothing.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion, which scores from now on, if the gate agrees."""
    parsed = parse_ref(ref, name)
    opened = open_registry(registry, parsed.model)
    try:
        promotion = jobs.promote(
            opened, parsed, alias=alias, reason=reason, force=force, dry_run=dry_run, holdout=holdout
        )
    except GateRefusedError as refusal:
        if not as_json:
            _show_comparison(refusal.evidence, "refused")
        raise
    if as_json:
        show_json(promotion)
        return
    _show_comparison(asdict(promotion), "forced" if promotion.forced else "passes")
    forced = " (forced)" if promotion.forced and not promotion.dry_run else ""
    print(f"{_format_move(promotion)}{forced}")


def rollback(
    alias: AliasOption = ALIAS,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Set an alias back to its previous version; a second rollback goes back one more version."""
    promotion = jobs.roll_back(open_registry(registry, name), alias=alias, reason=reason)
    if as_json:
        show_json(promotion)
    else:
        print(f"{promotion.model}@{promotion.alias} is version {promotion.version} again{_format_previous(promotion)}")


AliasArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The alias, of letters, digits and _, such as challenger.")
]


def set_alias(
    alias: AliasArgument,
    ref: RefArgument,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Set an alias to a version, after checking its files; only promote sets the champion."""
    parsed = parse_ref(ref, name)
    promotion = jobs.set_alias(open_registry(registry, parsed.model), alias, parsed, reason)
    if as_json:
        show_json(promotion)
    else:
        print(_format_move(promotion))


def delete_alias(
    alias: AliasArgument,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Delete an alias; deleting the champion needs --reason, because nothing scores without a champion."""
    deletion = jobs.delete_alias(open_registry(registry, name), alias, reason)
    if as_json:
        show_json(deletion)
    else:
        print(f"{deletion.model}@{deletion.alias} is deleted (was {deletion.previous_version})")


def list_aliases(registry: RegistryOption = REGISTRY, name: NameOption = NAME, as_json: JsonOption = False) -> None:
    """List the version of each alias, when, by whom and why it was set, and the previous version."""
    listed = jobs.list_aliases(open_registry(registry, name))
    if as_json:
        show_json(listed)
    elif not listed.aliases:
        print(f"no alias of {listed.model} in {listed.registry}. Promote a version: gamesales promote REF")
    else:
        rows = [
            [
                row.alias,
                str(row.version),
                format_minute(row.since),
                row.actor,
                str(row.previous_version or "-"),
                row.reason,
            ]
            for row in listed.aliases
        ]
        print(format_table(["alias", "version", "since", "by", "before", "why"], rows))


def retire(
    ref: RefArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, for the log; required.")] = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Retire a version for good; no alias may name it, and its history stays."""
    parsed = parse_ref(ref, name)
    retirement = retire_version(open_registry(registry, parsed.model), parsed, reason)
    version = f"version {retirement.version} of {retirement.model}"
    if as_json:
        show_json(retirement)
    elif retirement.changed:
        print(f"{version} is retired")
    else:
        since = f"was retired on {format_minute(retirement.time)} UTC by {retirement.actor}"
        text = f"{version} {since}{f': {retirement.reason}' if retirement.reason else ''}; nothing was changed"
        print(to_one_line(text))


def _show_comparison(evidence: Mapping[str, Any], verdict: str) -> None:
    """Print the comparison of candidate and champion, if they were compared."""
    comparison = evidence.get("comparison")
    if not comparison:
        return
    margin, confidence = format_percent(comparison["margin"]), format_percent(comparison["confidence"])
    rows = [
        [f"version {comparison['champion']}, champion", _format_cents(comparison["champion_mae"])],
        [f"version {comparison['candidate']}", _format_cents(comparison["candidate_mae"])],
        ["difference", _format_cents(comparison["difference"])],
        [f"{confidence} upper bound", _format_cents(comparison["bound"])],
        [f"limit, {margin} of version {comparison['champion']}'s MAE", _format_cents(comparison["limit"])],
    ]
    print(format_table([f"on {comparison['rows']:,} titles of {evidence['holdout']['path']}", "MAE"], rows))
    print(f"{verdict}\n")


def _format_cents(amount: float) -> str:
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


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
    "alias",
    "Set, delete or list aliases, such as challenger.",
    {"set": set_alias, "delete": delete_alias, "list": list_aliases},
)
COMMANDS = (evaluate, promote, rollback, alias, retire)
