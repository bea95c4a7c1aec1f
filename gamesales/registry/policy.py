"""The policy of a model: whose keys may approve a promotion, and how many different keys must.

The policy is an event of the log. Setting an alias or another policy needs the approvals that the standing policy
requires. Approvals are signatures in the log. They are checked when the event is written, from the state just before
it, so a race between a promotion and a change of the policy has no gap.

A program that writes into the files of a registry by other means can't be stopped. ``gamesales verify`` finds what it
wrote, and a scoring host that pins a key refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from gamesales.data.contract import read_toml
from gamesales.errors import IntegrityError, JobFileError, NotApprovedError
from gamesales.registry.bundle import compute_sha256
from gamesales.registry.event import ALIAS_SET, POLICY_SET, Event, encode_canonical_json
from gamesales.registry.index import Index
from gamesales.registry.signature import (
    POLICY,
    PROMOTION,
    USE,
    PublicKey,
    Statement,
    is_signed,
    parse_public_key,
    read_public_key,
)
from gamesales.registry.state import State, Version

# A message explains at most this many signatures that do not count, newest first.
_SHOWN_SIGNATURES = 5


@dataclass(frozen=True)
class Policy:
    """Whose keys may approve, and how many different keys must.

    Attributes:
        approvals: how many different keys must approve; 0 with no keys: no approval is needed.
        keys: the name of each key's owner, and the public key as text in the PEM format.
    """

    approvals: int
    keys: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the policy, 64 hex digits."""
        return compute_sha256(encode_canonical_json(self.as_json()))

    def as_json(self) -> dict[str, Any]:
        return {"approvals": self.approvals, "keys": dict(self.keys)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Make a policy from a document of ``as_json``. Any other document raises ValueError or a similar error."""
        keys = {str(name): str(pem) for name, pem in document["keys"].items()}
        return cls(int(document["approvals"]), keys)

    def parse_keys(self) -> dict[str, PublicKey]:
        """Return the keys by the names of their owners."""
        return {name: parse_public_key(pem.encode(), f"the key of {name}") for name, pem in self.keys.items()}


def read_policy_file(path: Path) -> Policy:
    """Read a policy from a TOML file: ``approvals``, and a table ``keys`` of names and paths beside the file.

    Raises:
        JobFileError: the file is wrong.
        UsageError: a key can't be read.
    """
    fields = read_toml(path)
    approvals, paths = fields.get("approvals"), fields.get("keys", {})
    if set(fields) - {"approvals", "keys"} or not isinstance(paths, Mapping):
        raise JobFileError(f"{path} expects approvals = N and a table [keys], found {', '.join(map(str, fields))}")
    keys = {str(name): read_public_key(path.parent / str(value)) for name, value in paths.items()}
    if len({key.fingerprint for key in keys.values()}) != len(keys):
        raise JobFileError(f"{path}: two names have the same key; an approval must be of one person")
    if type(approvals) is not int or not min(1, len(keys)) <= approvals <= len(keys):
        raise JobFileError(
            f"{path}: approvals expects a number from 1 to the number of keys, {len(keys)}, found {approvals!r}",
            hint="approvals = 0 without keys requires no approvals",
        )
    return Policy(approvals, {name: key.pem for name, key in keys.items()})


def read_policy(state: State) -> Policy | None:
    """Return the standing policy; None if no approval is needed.

    Raises:
        IntegrityError: the policy is not the policy that was approved.
    """
    event = state.read_policy_event()
    if event is None:
        return None
    try:
        policy = Policy.from_json(event.body["policy"])
    except (KeyError, TypeError, ValueError, AttributeError):
        policy = None
    if policy is None or policy.digest != event.body["digest"]:
        raise IntegrityError(
            f"event {event.sequence} sets a policy that does not have its digest {event.body['digest']}",
            hint="Restore it from a backup of the registry",
        )
    return policy if policy.approvals else None


def make_use_statement(model: str, state: State, version: Version) -> Statement:
    """State that a version may be used by its number."""
    return Statement(USE, model, state.log_digest, version.number, version.digest)


def make_promotion_statement(
    model: str, state: State, version: Version, alias: str, previous: str | None = None
) -> Statement:
    """State that an alias may be set to a version, now or after the change ``previous`` of the alias."""
    previous = state.index.find_alias_change(alias) if previous is None else previous
    return Statement(PROMOTION, model, state.log_digest, version.number, version.digest, alias, previous)


def make_policy_statement(model: str, state: State, policy: Policy) -> Statement:
    """State that a policy may replace the standing policy."""
    previous = state.index.policy[1] if state.index.policy else ""
    return Statement(POLICY, model, state.log_digest, None, policy.digest, None, previous)


def require_approvals(policy: Policy, statement: Statement, state: State) -> list[str]:
    """Return the digests of the events with the signatures that approve a statement.

    Raises:
        NotApprovedError: too few different keys of the policy have signed exactly this statement. The message says why
            other signatures do not count.
    """
    keys = policy.parse_keys()
    approvals: dict[str, Event] = {}  # by the name of the key's owner
    for event in state.read_signatures(statement.sha256):
        for name, key in keys.items():
            if event.body["key"] == key.fingerprint and is_signed(statement, event.body["signature"], key):
                approvals.setdefault(name, event)
    if len(approvals) >= policy.approvals:
        return [event.digest for event in approvals.values()]
    others = _explain_signatures(keys, statement, approvals, state)
    number = f"{len(approvals)} of {policy.approvals} approvals" if policy.approvals > 1 else "no approval"
    names = f" ({', '.join(approvals)})" if approvals else ""
    raise NotApprovedError(
        f"{statement} has {number}{names}; expected signatures by {policy.approvals} of {', '.join(keys)}"
        + "".join(f"; {text}" for text in others),
        hint=_suggest_sign(statement),
    )


def _suggest_sign(statement: Statement) -> str:
    if statement.purpose == POLICY:
        return "Each of them signs it: gamesales policy sign FILE --key PRIVATE_KEY"
    option = "--use" if statement.purpose == USE else f"--alias {statement.alias}"
    return f"Each of them signs it: gamesales sign {statement.version} {option} --key PRIVATE_KEY"


def _explain_signatures(
    keys: Mapping[str, PublicKey], statement: Statement, approvals: Mapping[str, Event], state: State
) -> list[str]:
    """Explain why recent signatures for the same purpose do not approve a statement."""
    names = {key.fingerprint: name for name, key in keys.items()}
    counted = {event.sequence for event in approvals.values()}
    explanations: dict[str, None] = {}
    for event in state.read_recent_signatures():
        reason = _explain(event, statement, names, approvals)
        if event.sequence not in counted and reason:
            name = names.get(event.body["key"], f"the key {event.body['key'][:12]}")
            explanations[f"the signature by {name} in event {event.sequence} {reason}"] = None
    return list(explanations)[:_SHOWN_SIGNATURES]


def _explain(event: Event, statement: Statement, names: Mapping[str, str], approvals: Mapping[str, Event]) -> str:
    body, key = event.body, event.body["key"]
    if key not in names:
        return "is by a key that is not expected"
    if body["purpose"] != statement.purpose:
        return f"is for another purpose, {body['purpose']}"
    if body.get("version") != statement.version:
        return f"is for version {body.get('version')}"
    if body.get("alias") != statement.alias:
        return f"is for @{body.get('alias')}"
    if body["digest"] != statement.digest:
        return f"is for the digest {str(body['digest'])[:12]}"
    if body["statement_sha256"] != statement.sha256:
        return "was for an earlier change, and does not hold again"
    if names[key] in approvals:
        return "is by a key that has approved already"
    return "does not match: the signature or its statement was changed"


def require_pinned_signature(model: str, state: State, version: Version, alias: str | None, key: PublicKey) -> None:
    """Check that a key has signed what makes a version score: its promotion to the alias, or its use by its number.

    Raises:
        NotApprovedError: it has not.
    """
    if alias is None:
        statement = make_use_statement(model, state, version)
    else:
        event = state.last_set_event(alias)
        previous = event.body.get("previous_change") if event else None
        statement = make_promotion_statement(model, state, version, alias, str(previous))
    require_signature(statement, state, key)


def require_signature(statement: Statement, state: State, key: PublicKey) -> None:
    """Check that a key has signed a statement.

    Raises:
        NotApprovedError: it has not.
    """
    require_approvals(Policy(1, {f"the key {key.fingerprint[:12]}": key.pem}), statement, state)


def check_approvals(model: str, events: Sequence[Event]) -> None:
    """Check the approvals of every event that needs them.

    Raises:
        IntegrityError: an event sets an alias or a policy without the approvals that the policy before it requires.
    """
    index = Index()
    for event in events:
        state = State(index, lambda refs: [events[sequence - events[0].sequence] for sequence, _ in refs])
        policy = read_policy(state) if event.kind in (ALIAS_SET, POLICY_SET) else None
        if policy is not None:
            try:
                require_approvals(policy, _restate(model, state, event), state)
            except NotApprovedError as error:
                raise IntegrityError(
                    f"event {event.sequence} ({event.kind}) lacks approvals: {error}",
                    hint="Somebody wrote it by other means; restore the log from a backup",
                ) from None
        index.add(event)


def _restate(model: str, state: State, event: Event) -> Statement:
    if event.kind == POLICY_SET:
        return make_policy_statement(model, state, Policy.from_json(event.body["policy"]))
    return make_promotion_statement(model, state, state.read_version(event.body["version"]), event.body["alias"])
