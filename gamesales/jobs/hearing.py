"""What the gate is told of a candidate, heard again whenever another writer changes what it is compared with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gamesales.errors import InputError, RegistryError
from gamesales.jobs.evaluate import Evaluated, measure, predictions, record, scaling_in, trained_on
from gamesales.jobs.holdout import REMEDY, Holdout, Trial, named_by
from gamesales.jobs.titles import read_titles
from gamesales.registry import gate
from gamesales.registry.gate import Comparison, Finding
from gamesales.registry.log import plain
from gamesales.registry.refs import CHAMPION, short_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, Version
from gamesales.scoring.counts import RejectLimit
from gamesales.scoring.scorer import LoadedVersion


class Hearing:
    """A candidate and its holdout: the one that its training kept back, or one that is given.

    On one that is given the candidate is evaluated at once, and that is recorded, except in a dry run.
    """

    def __init__(
        self, registry: ModelRegistry, candidate: Version, loaded: LoadedVersion, given: Path | None, *, dry_run: bool
    ) -> None:
        self._registry = registry
        self._candidate = candidate
        self._manifest = registry.bundle(candidate).manifest
        self._evaluated: Evaluated | None = None
        self._holdout = named_by(self._manifest) if given is None else self._evaluate(given, loaded, dry_run=dry_run)
        self._trial = Trial(registry, self._holdout) if self._holdout else None

    def _evaluate(self, given: Path, loaded: LoadedVersion, *, dry_run: bool) -> Holdout:
        titles = read_titles(given, loaded.contract, RejectLimit())
        if titles.sha256 != trained_on(self._manifest):  # that would be no evaluation, and the gate says so
            measured = measure(titles, predictions(loaded, titles), scaling_in(self._manifest))
            reason = "on the holdout of a promotion"
            self._evaluated = record(self._registry, self._candidate, titles, measured, reason, dry_run=dry_run)
        return Holdout(given, titles.sha256)

    def hear(self, state: State, candidate: Version) -> tuple[list[Finding], dict[str, Any]]:
        """Return the findings, and what else the log keeps: the holdout, and how the two versions compare."""
        champion = state.aliased(CHAMPION)
        if self._holdout is None or self._trial is None:
            return [gate.evaluation_is_recorded(candidate.evaluations, None, REMEDY)], {}
        holdout = {"path": plain(str(self._holdout.path)), "sha256": self._holdout.sha256}
        findings = [self._is_evaluated(candidate, self._holdout)]
        if champion is None:
            findings.append(self._is_unseen(self._holdout, {candidate.number: self._manifest}))
            return findings, {"holdout": holdout, "comparison": None}
        before = state.version(champion)
        manifests = {**self._manifest_of(before), candidate.number: self._manifest}
        no_worse, comparison = _compared(self._trial, before, candidate)
        findings += [self._is_unseen(self._holdout, manifests), no_worse]
        numbers = {"champion": champion, "candidate": candidate.number}
        return findings, {"holdout": holdout, "comparison": numbers | asdict(comparison) if comparison else None}

    def _is_evaluated(self, candidate: Version, holdout: Holdout) -> Finding:
        ref = short_ref(self._registry.model, candidate.number)
        remedy = f"Evaluate it: gamesales evaluate {ref} --data {shlex.quote(str(holdout.path))}"
        finding = gate.evaluation_is_recorded(candidate.evaluations, holdout.sha256, remedy)
        if finding.holds or self._evaluated is None:
            return finding
        return Finding(gate.EVALUATED, True, f"{holdout.path}, {self._evaluated.rows:,} rows, would be recorded first")

    def _is_unseen(self, holdout: Holdout, manifests: Mapping[int, Mapping[str, Any]]) -> Finding:
        digests = {number: trained_on(manifest) for number, manifest in manifests.items()}
        return gate.holdout_is_unseen(holdout.sha256, digests, REMEDY)

    def _manifest_of(self, champion: Version) -> dict[int, Mapping[str, Any]]:
        """Return a manifest by its version; nothing if it is damaged, which the comparison tells."""
        try:
            return {champion.number: self._registry.bundle(champion).manifest}
        except RegistryError:
            return {}


def _compared(trial: Trial, champion: Version, candidate: Version) -> tuple[Finding, Comparison | None]:
    """Compare the two, or say why they can't be."""
    for version in (champion, candidate):
        try:
            trial.errors(version)
        except (InputError, RegistryError) as error:
            found = f"version {version.number} can't be scored on the holdout: {error}"
            return Finding(gate.NO_WORSE, False, found, error.hint), None
    try:
        comparison = trial.compare(champion, candidate)
    except InputError as error:
        return Finding(gate.NO_WORSE, False, str(error), error.hint), None
    return gate.is_no_worse(comparison, champion.number), comparison
