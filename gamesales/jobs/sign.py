"""Sign a promotion, the use of a version or a policy; set and show the policy of a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gamesales.registry.event import Event
from gamesales.registry.policy import (
    Policy,
    make_policy_statement,
    make_promotion_statement,
    make_use_statement,
    read_policy,
    read_policy_file,
)
from gamesales.registry.refs import Ref, check_alias
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.signature import Statement, read_fingerprint, sign_statement
from gamesales.registry.state import State

PASSWORD_VARIABLE = "GAMESALES_KEY_PASSWORD"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class SignatureResult:
    """A recorded signature.

    Attributes:
        purpose: ``promotion``, ``use`` or ``policy``.
        version: the version; None for a policy.
        alias: the alias of a promotion; else None.
        digest: the digest of the bundle or of the policy that was signed.
        key: the fingerprint of the key, 64 hex digits.
        changed: whether this call recorded it. False: the key has signed the same statement before.
        sequence: the event of this call, or None.
    """

    model: str
    registry: str
    purpose: str
    version: int | None
    alias: str | None
    digest: str
    key: str
    changed: bool
    sequence: int | None


@dataclass(frozen=True)
class PolicyResult:
    """The policy of a model.

    Attributes:
        approvals: how many different keys must approve; 0: no approval is needed.
        keys: the fingerprints of the keys by the names of their owners.
        digest: the SHA-256 of the policy; empty without a policy.
        changed: whether this call set it.
    """

    model: str
    registry: str
    approvals: int
    keys: dict[str, str]
    digest: str
    changed: bool


def sign_promotion(registry: ModelRegistry, ref: Ref, alias: str, key: Path, reason: str) -> SignatureResult:
    """Approve that an alias is set to a version, from the version that it names now.

    Raises:
        UsageError: the key can't be used.
    """
    check_alias(alias)

    def make_statement(state: State) -> Statement:
        return make_promotion_statement(registry.model, state, registry.find(state, ref), alias)

    return _sign(registry, make_statement, key, reason)


def sign_use(registry: ModelRegistry, ref: Ref, key: Path, reason: str) -> SignatureResult:
    """Approve that a version is used by its number."""

    def make_statement(state: State) -> Statement:
        return make_use_statement(registry.model, state, registry.find(state, ref))

    return _sign(registry, make_statement, key, reason)


def sign_policy(registry: ModelRegistry, path: Path, key: Path, reason: str) -> SignatureResult:
    """Approve that the policy in a file replaces the standing policy."""
    policy = read_policy_file(path)
    registry.require_model()
    return _sign(registry, lambda state: make_policy_statement(registry.model, state, policy), key, reason)


def set_policy(registry: ModelRegistry, path: Path, reason: str) -> PolicyResult:
    """Set the policy of a model from a file.

    Raises:
        NotApprovedError: the standing policy requires approvals that are missing.
    """
    policy = read_policy_file(path)
    registry.require_model()
    event = registry.set_policy(policy, reason)
    return _describe_policy(registry, policy, changed=event is not None)


def show_policy(registry: ModelRegistry) -> PolicyResult:
    """Return the standing policy of a model."""
    registry.require_model()
    return _describe_policy(registry, read_policy(registry.read_state()), changed=False)


def _sign(
    registry: ModelRegistry, make_statement: Callable[[State], Statement], key: Path, reason: str
) -> SignatureResult:
    signed: list[tuple[Statement, Mapping[str, Any]]] = []

    def sign(statement: Statement) -> Mapping[str, Any]:
        signed.append((statement, sign_statement(statement, key, os.environ.get(PASSWORD_VARIABLE))))
        return signed[-1][1]

    event: Event | None = registry.record_signature(make_statement, sign, reason)
    statement, signature = signed[-1]
    return SignatureResult(
        model=registry.model,
        registry=registry.location,
        purpose=statement.purpose,
        version=statement.version,
        alias=statement.alias,
        digest=statement.digest,
        key=read_fingerprint(signature),
        changed=event is not None,
        sequence=event.sequence if event else None,
    )


def _describe_policy(registry: ModelRegistry, policy: Policy | None, *, changed: bool) -> PolicyResult:
    keys = {} if policy is None else {name: key.fingerprint for name, key in policy.parse_keys().items()}
    return PolicyResult(
        model=registry.model,
        registry=registry.location,
        approvals=policy.approvals if policy else 0,
        keys=keys,
        digest=policy.digest if policy and policy.approvals else "",
        changed=changed,
    )
