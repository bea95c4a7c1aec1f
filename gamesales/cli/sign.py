"""The commands sign and policy: who may promote a version, and who has approved it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from gamesales.cli.commands import CommandGroup
from gamesales.cli.render import show_result
from gamesales.cli.table import format_table
from gamesales.cli.values import ALIAS, NAME, REGISTRY
from gamesales.jobs import sign as jobs
from gamesales.jobs.loading import open_ref, open_registry
from gamesales.registry.refs import format_command
from gamesales.report.format import format_count

if TYPE_CHECKING:
    import typer

    from gamesales.cli.options import (
        AliasOption,
        JsonOption,
        KeyOption,
        NameOption,
        PolicyFileArgument,
        ReasonOption,
        RefArgument,
        RegistryOption,
    )
    from gamesales.jobs.sign import PolicyResult, SignatureResult


def sign(
    ref: RefArgument,
    key: KeyOption,
    alias: AliasOption = ALIAS,
    use: Annotated[
        bool, typer.Option("--use", help="Sign the use of the version by its number, not a promotion.")
    ] = False,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Sign the promotion of a version to an alias, so that it can be promoted where a policy requires approvals.

    Examples:
        gamesales sign 4 --key release.pem
    """
    opened, parsed = open_ref(registry, ref, name)
    if use:
        result = jobs.sign_use(opened, parsed, key, reason)
    else:
        result = jobs.sign_promotion(opened, parsed, alias, key, reason)
    show_result(result, _format_signature, as_json=as_json)


def _format_signature(result: SignatureResult) -> str:
    what = {
        "promotion": f"the promotion of version {result.version} to @{result.alias}",
        "use": f"the use of version {result.version}",
        "policy": f"the policy {result.digest[:12]}",
    }[result.purpose]
    verb = "signed" if result.changed else "already signed:"
    return f"{verb} {what}, digest {result.digest[:12]}, with the key {result.key[:12]}"


def show_policy(registry: RegistryOption = REGISTRY, name: NameOption = NAME, as_json: JsonOption = False) -> None:
    """Show the policy that stands.

    Examples:
        gamesales policy show
    """
    show_result(jobs.show_policy(open_registry(registry, name)), _format_policy, as_json=as_json)


def sign_policy(
    file: PolicyFileArgument,
    key: KeyOption,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Approve that the policy in a file replaces the policy that stands.

    Examples:
        gamesales policy sign policy.toml --key release.pem
    """
    result = jobs.sign_policy(open_registry(registry, name), file, key, reason)
    show_result(result, _format_signature, as_json=as_json)


def set_policy(
    file: PolicyFileArgument,
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Set the policy. The policy that stands decides which approvals this needs.

    Examples:
        gamesales policy set policy.toml --reason "two approvals"
    """
    result = jobs.set_policy(open_registry(registry, name), file, reason)
    show_result(result, _format_policy, as_json=as_json)


def _format_policy(result: PolicyResult) -> str:
    if not result.approvals:
        return f"{result.model} in {result.registry} has no policy: anybody who can write there may promote"
    keys = format_table(["name", "key"], [[name, key[:12]] for name, key in result.keys.items()])
    sign = format_command("sign REF --key PRIVATE_KEY", result.registry, result.model)
    people = f"{result.approvals} of {format_count(len(result.keys), 'key')}"
    return f"setting an alias of {result.model} needs approvals by {people}:\n{keys}\n\napprove  {sign}"


policy = CommandGroup(
    "Show, approve and set the policy: whose keys may approve a promotion.",
    {"show": show_policy, "sign": sign_policy, "set": set_policy},
)
