"""evaluate, promote, rollback: how good a version is, and what is live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gamesales.cli.main import Group
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
from gamesales.cli.render import metrics_table, moment, one_line, show_json, table
from gamesales.errors import GateRefusedError
from gamesales.jobs import aliases as naming
from gamesales.jobs import evaluate as evaluating
from gamesales.jobs import promote as promoting
from gamesales.jobs.evaluate import Evaluated
from gamesales.jobs.loading import open_registry
from gamesales.jobs.promote import Promotion
from gamesales.registry.gate import percent
from gamesales.registry.refs import parse_ref


def evaluate(
    ref: RefArgument,
    data: Annotated[Path, typer.Option(metavar="FILE", help="CSV or Parquet: titles and what they earned.")],
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Tell how far off a version is on titles that it never saw, and record it."""
    parsed = parse_ref(ref, name)
    done = evaluating.evaluate(open_registry(registry, parsed.model), parsed, data, reason=reason)
    if as_json:
        show_json(done)
        return
    print(f"version {done.version} of {done.model} on {done.rows:,} titles of {done.data}{_rejected(done)}\n")
    print(metrics_table({f"version {done.version}": done.metrics}))
    (low_mae, high_mae), (low_mse, high_mse) = done.intervals["mae"], done.intervals["scaled_mse"]
    print(f"\n95 % intervals: MAE ${low_mae:,.0f} to ${high_mae:,.0f}, scaled MSE {low_mse:.2e} to {high_mse:.2e}")
    told = f"recorded as event {done.sequence}" if done.recorded else "recorded already; nothing was written"
    print(told)


def _rejected(done: Evaluated) -> str:
    return f"; {done.rejected:,} rejected: {'; '.join(done.first_rejects)}" if done.rejected else ""


def promote(
    ref: RefArgument,
    alias: AliasOption = ALIAS,
    reason: ReasonOption = "",
    holdout: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare on these titles, not on those that training held back."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Override the gate; needs --reason.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the gate and change nothing.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Let a version score from now on, if the gate agrees."""
    parsed = parse_ref(ref, name)
    opened = open_registry(registry, parsed.model)
    try:
        done = promoting.promote(
            opened, parsed, alias=alias, reason=reason, force=force, dry_run=dry_run, holdout=holdout
        )
    except GateRefusedError as refused:
        if not as_json:
            _show_comparison(refused.evidence, "refused")
        raise
    if as_json:
        show_json(done)
        return
    _show_comparison(asdict(done), "forced" if done.forced else "passes")
    if not done.changed:
        print(f"{done.model}@{done.alias} is version {done.version} already; nothing was changed")
    elif done.dry_run:
        print(f"{done.model}@{done.alias} would become version {done.version}{_was(done)}; nothing was changed")
    else:
        print(
            f"{done.model}@{done.alias} is now version {done.version}{_was(done)}{' (forced)' if done.forced else ''}"
        )


def _show_comparison(evidence: Mapping[str, Any], verdict: str) -> None:
    """Print how candidate and champion compare, if they were compared."""
    one = evidence.get("comparison")
    if not one:
        return
    share, sure = percent(one["margin"]), percent(one["confidence"])
    rows = [
        [f"version {one['champion']}, champion", _dollars(one["champion_mae"])],
        [f"version {one['candidate']}", _dollars(one["candidate_mae"])],
        ["difference", _dollars(one["difference"])],
        [f"at most, {sure} sure", _dollars(one["bound"])],
        [f"limit, {share} of version {one['champion']}'s", _dollars(one["limit"])],
    ]
    print(table([f"on {one['rows']:,} titles of {evidence['holdout']['path']}", "MAE"], rows))
    print(f"{verdict}\n")


def _dollars(amount: float) -> str:
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


def rollback(
    alias: AliasOption = ALIAS,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Let the version before score again; a second time goes one further back."""
    done = promoting.roll_back(open_registry(registry, name), alias=alias, reason=reason)
    if as_json:
        show_json(done)
    else:
        print(f"{done.model}@{done.alias} is version {done.version} again{_was(done)}")


def _was(done: Promotion) -> str:
    return f" (was {done.previous_version or 'unset'})"


AliasArgument = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and _, such as challenger.")]


def set_alias(
    alias: AliasArgument,
    ref: RefArgument,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Let an alias name a version that is sound; champion is set by promote, which asks the gate."""
    parsed = parse_ref(ref, name)
    done = naming.set_alias(open_registry(registry, parsed.model), alias, parsed, reason)
    if as_json:
        show_json(done)
    elif not done.changed:
        print(f"{done.model}@{done.alias} is version {done.version} already; nothing was changed")
    else:
        print(f"{done.model}@{done.alias} is now version {done.version} (was {done.previous_version or 'unset'})")


def delete_alias(
    alias: AliasArgument,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Let an alias name nothing; the champion only with --reason, as without one nothing scores."""
    done = naming.delete_alias(open_registry(registry, name), alias, reason)
    if as_json:
        show_json(done)
    else:
        print(f"{done.model}@{done.alias} names nothing any more (was {done.previous_version})")


def list_aliases(registry: RegistryOption = REGISTRY, name: NameOption = NAME, as_json: JsonOption = False) -> None:
    """List what each alias names, since when, on whose word and why, and what it named before."""
    listed = naming.list_aliases(open_registry(registry, name))
    if as_json:
        show_json(listed)
    elif not listed.aliases:
        print(f"no alias names a version of {listed.model} in {listed.registry}. Promote one: gamesales promote REF")
    else:
        rows = [
            [row.alias, str(row.version), moment(row.since), row.actor, str(row.previous_version or "-"), row.reason]
            for row in listed.aliases
        ]
        print(table(["alias", "version", "since", "by", "before", "why"], rows))


def retire(
    ref: RefArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the log; it must be given.")] = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Take a version out of use for good; no alias may name it. Its history stays."""
    parsed = parse_ref(ref, name)
    done = naming.retire(open_registry(registry, parsed.model), parsed, reason)
    if as_json:
        show_json(done)
    elif done.changed:
        print(f"version {done.version} of {done.model} is retired")
    else:
        because = f": {done.reason}" if done.reason else ""
        told = f"was retired on {moment(done.time)} UTC by {done.actor}{because}; nothing was changed"
        print(one_line(f"version {done.version} of {done.model} {told}"))


alias = Group(
    "alias",
    "Let names such as challenger stand for versions.",
    {"set": set_alias, "delete": delete_alias, "list": list_aliases},
)


COMMANDS = (evaluate, promote, rollback, alias, retire)
