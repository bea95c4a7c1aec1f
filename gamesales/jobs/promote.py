"""Promote a version, roll an alias back, and set, delete and list aliases. The gate guards only ``champion``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gamesales.errors import NothingPromotedError, UsageError, warn
from gamesales.jobs.gate_evidence import GateEvidence
from gamesales.jobs.loading import load_registered
from gamesales.jobs.row_list import RowList
from gamesales.registry.event import Event
from gamesales.registry.gate import judge_findings
from gamesales.registry.refs import CHAMPION, Ref, check_alias, format_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, Version
from gamesales.report.format import format_minute
from gamesales.scoring.scorer import LoadedVersion
from gamesales.stats.amounts import InUnit, keeps_unit, set_unit


@dataclass(frozen=True)
class Promotion(InUnit):
    """The version that an alias names after a promotion or a rollback, the version before it, and the evidence.

    ``holdout`` and ``comparison`` are None if no versions were compared. ``new_columns`` are the columns that only this
    version needs, not the champion before it. ``inputs`` are the inputs of the scoring job that were checked.
    ``warnings`` are those of the gate and of the version's report.
    """

    model: str
    alias: str
    version: int
    previous_version: int | None
    changed: bool
    dry_run: bool
    sequence: int | None
    forced: bool = False
    findings: list[dict[str, Any]] = field(default_factory=list)
    holdout: dict[str, str] | None = None
    comparison: dict[str, Any] | None = None
    new_columns: list[str] = field(default_factory=list)
    inputs: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        before = f"was {'unset' if self.previous_version is None else self.previous_version}"
        notes = ["dry run"] * self.dry_run + ["forced"] * self.forced + ["unchanged"] * (not self.changed)
        return f"Promotion({self.model}@{self.alias}: version {self.version}, {', '.join([before, *notes])})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        rows = [[finding["condition"], finding["is_met"], finding["observation"]] for finding in self.findings]
        caption = repr(self).removeprefix("Promotion(").removesuffix(")")
        return make_table(caption, ["condition of the gate", "met", "observation"], rows)


@keeps_unit
def promote(
    registry: ModelRegistry,
    ref: Ref,
    *,
    alias: str = CHAMPION,
    reason: str = "",
    force: bool = False,
    dry_run: bool = False,
    holdout: str | None = None,
    public_key: Path | None = None,
) -> Promotion:
    """Make an alias name a version.

    The version must verify and reproduce its golden rows, even with ``force``. For ``champion``, the gate is asked too.

    Args:
        registry: the registry of the model.
        ref: the version to promote.
        alias: the alias to set.
        reason: why, for the log.
        force: whether to promote even if the gate refuses.
        dry_run: whether to ask the gate and write nothing.
        holdout: the path or URL of a file to compare the versions on, and not on the holdout that training kept back.
        public_key: a key that must have signed the promotion.

    Raises:
        GateRefusedError: a condition of the gate does not hold.
        NotApprovedError: the key, or the keys of the policy, have not signed the promotion.
        IntegrityError: the bundle was changed.
        SelfTestError: the version does not reproduce its golden rows.
        UsageError: ``force`` without a reason, or a holdout for another alias than ``champion``.
        InputError: the file ``holdout`` can't be used.
    """
    check_alias(alias)
    if force and not reason.strip():
        raise UsageError("--force needs a reason", hint='Add --reason "…"')
    if holdout and alias != CHAMPION:
        raise UsageError(
            f"--holdout is only for {CHAMPION}, found --alias {alias}; the gate guards no other alias",
            hint=f"Leave out --holdout, or promote to {CHAMPION}",
        )
    state = registry.read_state()
    version = registry.find(state, ref)
    loaded = _load_verified(registry, version)
    set_unit(loaded.contract.unit)
    current = state.target_of(alias)
    if current == version.number:
        return Promotion(registry.model, alias, current, current, changed=False, dry_run=dry_run, sequence=None)

    gate_evidence = GateEvidence(registry, version, loaded, holdout, dry_run=dry_run) if alias == CHAMPION else None

    def judge(state: State, version: Version) -> Mapping[str, Any]:
        if public_key is not None:
            _require_signature(registry, state, version, alias, public_key)
        findings, details = gate_evidence.collect(state, version) if gate_evidence else ([], {})
        name, command = format_ref(registry.model, version.number), registry.format_command(f"promote {version.number}")
        return judge_findings(name, findings, command=command, force=force, details=details)

    try:
        if dry_run:
            evidence = judge(state, version)
            return Promotion(
                registry.model, alias, version.number, current, changed=True, dry_run=True, sequence=None, **evidence
            )
        event = registry.set_alias(alias, version.number, reason, judge)
    finally:  # also if the gate refuses
        for text in gate_evidence.warnings if gate_evidence else ():
            warn(text)
    if event is None:  # another writer set the alias to the same version in the meantime
        same = Ref(registry.model, version=version.number)
        return promote(registry, same, alias=alias, reason=reason, force=force, holdout=holdout, public_key=public_key)
    return _read_promotion(registry, event)


def roll_back(registry: ModelRegistry, *, alias: str = CHAMPION, reason: str = "", dry_run: bool = False) -> Promotion:
    """Make an alias name its previous version. That version must be sound. The gate is not asked.

    With ``dry_run``, the version is found and checked, and nothing is written.
    """

    def judge(_state: State, version: Version) -> Mapping[str, Any]:
        _load_verified(registry, version)
        return {"findings": [], "forced": False}

    if dry_run:
        state = registry.read_state()
        current, version = registry.find_previous(state, check_alias(alias))
        evidence = judge(state, version)
        return Promotion(
            registry.model, alias, version.number, current, changed=True, dry_run=True, sequence=None, **evidence
        )
    return _read_promotion(registry, registry.roll_back(alias, reason, judge))


def _require_signature(registry: ModelRegistry, state: State, version: Version, alias: str, public_key: Path) -> None:
    from gamesales.registry.policy import make_promotion_statement, require_signature
    from gamesales.registry.signature import read_public_key

    statement = make_promotion_statement(registry.model, state, version, alias)
    require_signature(statement, state, read_public_key(public_key))


def _load_verified(registry: ModelRegistry, version: Version) -> LoadedVersion:
    registry.open_bundle(version).verify()
    return load_registered(registry, version)


def _read_promotion(registry: ModelRegistry, event: Event) -> Promotion:
    body = event.body
    return Promotion(
        registry.model,
        body["alias"],
        body["version"],
        body["previous_version"],
        changed=True,
        dry_run=False,
        sequence=event.sequence,
        **body["evidence"],
    )


def set_alias(registry: ModelRegistry, alias: str, ref: Ref, reason: str = "") -> Promotion:
    """Make an alias name a version. The version must be sound. The gate is not asked.

    Raises:
        UsageError: the alias is ``champion``, which only a promotion may set.
    """
    if check_alias(alias) == CHAMPION:
        command = registry.format_command(f"promote {f'@{ref.alias}' if ref.alias else ref.version}")
        raise UsageError(
            f"{CHAMPION} is the version that scores; only gamesales promote may set it, because of the gate",
            hint=f"Promote it: {command}",
        )
    return promote(registry, ref, alias=alias, reason=reason)


@dataclass(frozen=True)
class AliasDeletion:
    """A deleted alias, and the version that it named."""

    model: str
    alias: str
    previous_version: int
    sequence: int


def delete_alias(registry: ModelRegistry, alias: str, reason: str = "") -> AliasDeletion:
    """Delete an alias.

    Raises:
        NothingPromotedError: there is no such alias.
        UsageError: the alias is ``champion``, and no reason is given.
    """
    if check_alias(alias) == CHAMPION and not reason.strip():
        raise UsageError(
            f"without a {CHAMPION}, nothing scores, not even the nightly run; deleting it needs a reason",
            hint=f'Add --reason "…"; or go back to the previous version: {registry.format_command("rollback")}',
        )
    state = registry.read_state()
    if not state.newest:
        registry.require_model()
    if state.target_of(alias) is None:
        raise NothingPromotedError(
            f"no version of {registry.model} is {alias} in {registry.location}; there is nothing to delete",
            hint=f"List all aliases: {registry.format_command('alias list')}",
        )
    event = registry.delete_alias(alias, reason)
    return AliasDeletion(registry.model, alias, event.body["previous_version"], event.sequence)


@dataclass(frozen=True)
class AliasRow:
    """An alias and the version that it names: since when, by whom and why, and the version that it named before."""

    alias: str
    version: int
    since: str
    actor: str
    reason: str
    previous_version: int | None


@dataclass(frozen=True)
class AliasList(RowList[AliasRow]):
    """All aliases of a model, sorted by name."""

    model: str
    registry: str
    aliases: list[AliasRow]

    @property
    def _rows(self) -> list[AliasRow]:
        return self.aliases

    def __repr__(self) -> str:
        aliases = ", ".join(f"{row.alias}: {row.version}" for row in self.aliases) or "no alias"
        return f"AliasList({aliases}; {self.model} in {self.registry})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        rows = [
            [row.alias, row.version, format_minute(row.since), row.actor, row.previous_version, row.reason]
            for row in self.aliases
        ]
        caption = f"aliases of {self.model} in {self.registry}"
        return make_table(caption, ["alias", "version", "since (UTC)", "by", "before", "reason"], rows)


def list_aliases(registry: ModelRegistry) -> AliasList:
    """List all aliases, each with the event that last set it.

    Raises:
        UnknownVersionError: the registry has no such model.
    """
    state = registry.read_state()
    if not state.newest:
        registry.require_model()
    rows = []
    for alias, version in state.read_targets().items():
        event = state.last_set_event(alias)
        assert event is not None  # the alias names a version
        previous = event.body.get("previous_version")
        rows.append(AliasRow(alias, version, event.time, event.actor, event.reason, previous))
    return AliasList(registry.model, registry.location, rows)
