"""Collect the evidence that the gate judges: evaluations, training data, a comparison with the champion, and inputs.

Training collects the same evidence for its report, before the version is registered.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gamesales.arrays import FloatArray, IntArray
from gamesales.data.column_changes import list_column_changes, name_kind
from gamesales.data.contract import Contract
from gamesales.data.dialect import DEFAULT_FORMAT, TableFormat
from gamesales.data.files import escape_surrogates, hash_file
from gamesales.data.labeled_titles import LabeledTitles, read_titles
from gamesales.data.screen import RejectLimit
from gamesales.errors import GamesalesError, InputError, InputNotFoundError, RegistryError
from gamesales.jobs.evaluate import (
    EvaluationResult,
    predict_labeled,
    read_scaling,
    read_table_format,
    record_once,
    training_digest,
)
from gamesales.jobs.job_inputs import check_job_inputs
from gamesales.jobs.loading import load_registered
from gamesales.registry import gate
from gamesales.registry.bundle import find_data, list_warnings
from gamesales.registry.gate import ChampionComparison, Finding
from gamesales.registry.refs import CHAMPION
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import State, Version
from gamesales.report.format import format_count
from gamesales.scoring.inputs import find_table_file
from gamesales.scoring.scorer import LoadedVersion
from gamesales.stats.amounts import DOLLARS, get_unit, record_unit
from gamesales.stats.bootstrap import derive_seed
from gamesales.stats.metrics import Metrics, compute_metrics
from gamesales.training.evaluation import evaluate_predictions

if TYPE_CHECKING:
    from gamesales.data.remote_file import TablePath

HOLDOUT_HINT = "Name a file of titles that neither version saw: --holdout FILE"


@dataclass(frozen=True)
class Holdout:
    """A file of titles with known earnings, at a path or URL, identified by its SHA-256."""

    path: str
    sha256: str
    table_format: TableFormat = DEFAULT_FORMAT

    def find(self) -> TablePath:
        """Return the file, after comparing its digest.

        Raises:
            InputError: the file is missing or was changed.
        """
        missing = InputNotFoundError(f"there is no file {self.path}", hint=HOLDOUT_HINT)
        try:
            path = find_table_file(self.path)
        except InputNotFoundError:
            raise missing from None
        if not path.is_file():
            raise missing
        self.check(hash_file(path))
        return path

    def check(self, sha256: str) -> None:
        """Compare the digest of the file, or of what was read, with the expected digest.

        Raises:
            InputError: they differ.
        """
        if sha256 != self.sha256:
            raise InputError(
                f"{self.path} was changed: expected sha256 {self.sha256}, found {sha256}",
                hint=f"Restore it. {HOLDOUT_HINT}",
            )


@dataclass(frozen=True)
class HoldoutPredictions:
    """The predictions of a version for the n titles of a holdout that it can score.

    Attributes:
        rows: int64 (n,), the row numbers in the file, ascending.
        actual: float64 (n,), the earnings.
        predicted: float64 (n,), the predictions.
        unit: the unit of the target.
    """

    rows: IntArray
    actual: FloatArray
    predicted: FloatArray
    unit: str = DOLLARS

    @property
    def errors(self) -> FloatArray:
        """Predicted minus actual, float64 (n,)."""
        return self.predicted - self.actual


class GateEvidence:
    """The evidence about a candidate that the gate judges.

    The holdout is the file that the candidate's training kept back, or the file that the user names. On a file that
    the user names, the candidate is evaluated at once. The evaluation is recorded, except in a dry run. Each version
    is scored once, even if the gate is asked again.

    Attributes:
        warnings: those of the report, and those of the last call of ``collect``. They are no reason to refuse.
    """

    def __init__(
        self, registry: ModelRegistry, candidate: Version, loaded: LoadedVersion, path: str | None, *, dry_run: bool
    ) -> None:
        self.warnings: list[str] = []
        self._registry = registry
        self._bundle = registry.open_bundle(candidate)
        self._contract = loaded.contract
        self._evaluation: EvaluationResult | None = None
        self._predictions: dict[str, HoldoutPredictions] = {}  # by the digest of the version
        self._holdout = self._evaluate(candidate, path, loaded, dry_run=dry_run) if path else self._find_holdout()

    def _find_holdout(self) -> Holdout | None:
        """Return the holdout that training kept back, or None if the manifest names none."""
        test = find_data(self._bundle.manifest, "test")
        path, digest = test.get("path"), test.get("sha256")
        if not isinstance(path, str) or not isinstance(digest, str):
            return None
        return Holdout(path, digest, read_table_format(test))

    def _evaluate(self, candidate: Version, path: str, loaded: LoadedVersion, *, dry_run: bool) -> Holdout:
        # The files of a project are alike: a holdout has the format of the training titles.
        table_format = read_table_format(find_data(self._bundle.manifest, "train"))
        titles = read_titles(find_table_file(path), loaded.contract, RejectLimit(), table_format)
        if titles.sha256 != training_digest(self._bundle.manifest):  # the gate refuses a holdout of training data
            scaling, unit = read_scaling(self._bundle), loaded.contract.unit
            measured = evaluate_predictions(titles, predict_labeled(loaded, titles), scaling, unit)
            reason = "on the holdout of a promotion"
            self._evaluation = record_once(self._registry, candidate, titles, measured, reason, dry_run=dry_run)
        return Holdout(path, titles.sha256, table_format)

    def collect(self, state: State, candidate: Version) -> tuple[list[Finding], dict[str, Any]]:
        """Return the findings, and the details for the log.

        The details are the holdout, the comparison with the champion, the columns that only the candidate needs, the
        inputs of the scoring job, and warnings.
        """
        number = state.target_of(CHAMPION)
        champion = None if number is None else state.read_version(number)
        findings, details = self._check_holdout(champion, candidate)
        contract = None if champion is None else self._read_contract(champion)
        new_columns = [] if contract is None else _find_new_columns(self._contract, contract)
        inputs = check_job_inputs(self._registry.model, self._contract, contract)
        if inputs and inputs.finding:
            findings.append(inputs.finding)
        self.warnings = list_warnings(self._bundle.manifest)
        if number is not None and contract is not None:
            self.warnings += _describe_columns(self._contract, contract, number)
        if inputs and inputs.warning:
            self.warnings.append(escape_surrogates(inputs.warning))
        details |= {
            "new_columns": new_columns,
            "inputs": inputs.as_dict() if inputs else None,
            "warnings": self.warnings,
        }
        return findings, details

    def _check_holdout(self, champion: Version | None, candidate: Version) -> tuple[list[Finding], dict[str, Any]]:
        holdout = self._holdout
        if holdout is None:
            return [gate.check_evaluation_recorded(candidate.read_holdout_evaluations(), None, HOLDOUT_HINT)], {}
        details = {"holdout": {"path": escape_surrogates(holdout.path), "sha256": holdout.sha256}}
        evaluated = self._check_evaluated(candidate, holdout)
        digests = {candidate.number: training_digest(self._bundle.manifest)}
        if champion is None:
            unseen = gate.check_holdout_unseen(holdout.sha256, digests, HOLDOUT_HINT)
            return [evaluated, unseen], {**details, "comparison": None}
        digests = {**read_training_digest(self._registry, champion), **digests}
        unseen = gate.check_holdout_unseen(holdout.sha256, digests, HOLDOUT_HINT)
        not_worse, comparison = self._check_not_worse(holdout, champion, candidate)
        numbers = {"champion": champion.number, "candidate": candidate.number}
        compared = numbers | asdict(comparison) | record_unit(self._contract.unit) if comparison else None
        return [evaluated, unseen, not_worse], {**details, "comparison": compared}

    def _check_evaluated(self, candidate: Version, holdout: Holdout) -> Finding:
        command = f"evaluate {candidate.number} --data {shlex.quote(holdout.path)}"
        trained_on_it = training_digest(self._bundle.manifest) == holdout.sha256
        remedy = HOLDOUT_HINT if trained_on_it else f"Evaluate it: {self._registry.format_command(command)}"
        finding = gate.check_evaluation_recorded(candidate.read_holdout_evaluations(), holdout.sha256, remedy)
        if finding.is_met or self._evaluation is None:
            return finding
        return Finding(
            gate.EVALUATED,
            True,
            f"{holdout.path}, {format_count(self._evaluation.rows, 'row')}, would be recorded first",
        )

    def _read_contract(self, champion: Version) -> Contract | None:
        """Return the champion's contract, or None for a damaged version, which the comparison reports."""
        try:
            return Contract.from_json(self._registry.open_bundle(champion).manifest["contract"])
        except (RegistryError, ValueError, TypeError, LookupError, AttributeError):
            return None

    def _check_not_worse(
        self, holdout: Holdout, champion: Version, candidate: Version
    ) -> tuple[Finding, ChampionComparison | None]:
        for version in (champion, candidate):
            if version.digest not in self._predictions:
                try:
                    self._predictions[version.digest] = predict_holdout(self._registry, version, holdout)
                except (InputError, RegistryError) as error:
                    return _report_failure(version.number, error), None
        predictions = self._predictions
        return compare_on_holdout(holdout, champion.number, predictions[champion.digest], predictions[candidate.digest])


def _find_new_columns(candidate: Contract, champion: Contract) -> list[str]:
    return [name for name in candidate.feature_names if name not in champion.feature_names]


def _describe_columns(candidate: Contract, champion: Contract, number: int) -> list[str]:
    """Describe the columns that only the candidate needs, and the columns that it reads differently."""
    columns = {column.name: column for column in candidate.features}
    new = [
        f"{name} as {name_kind(columns[name])}" if columns[name].kind in ("category", "date") else name
        for name in _find_new_columns(candidate, champion)
    ]
    changed = [
        f"{change.column}: {change.change}"
        for change in list_column_changes(champion, candidate)
        if change.concerns_inputs
    ]
    return [
        *([gate.describe_new_columns(new, number)] if new else []),
        *([gate.describe_changed_columns(changed, number)] if changed else []),
    ]


def read_training_digest(registry: ModelRegistry, champion: Version) -> Mapping[int, str | None]:
    """Return the digest of the training data. It is missing for a damaged version, which the comparison reports."""
    try:
        return {champion.number: training_digest(registry.open_bundle(champion).manifest)}
    except RegistryError:
        return {}


def predict_holdout(registry: ModelRegistry, version: Version, holdout: Holdout) -> HoldoutPredictions:
    """Score the holdout with a version.

    Raises:
        InputError: the file is missing, was changed or can't be scored.
        RegistryError: the version is damaged.
    """
    path = holdout.find()
    loaded = load_registered(registry, version)
    titles = read_titles(path, loaded.contract, RejectLimit(), holdout.table_format)
    holdout.check(titles.sha256)
    return HoldoutPredictions(titles.rows, titles.earnings, predict_labeled(loaded, titles), loaded.contract.unit)


def compare_on_holdout(
    holdout: Holdout, champion: int, before: HoldoutPredictions, after: HoldoutPredictions
) -> tuple[Finding, ChampionComparison | None]:
    """Compare the champion's predictions with the candidate's. If they can't be compared, the finding says why."""
    if before.unit != after.unit:
        units = f"it predicts {after.unit or 'numbers'}, and version {champion} predicts {before.unit or 'numbers'}"
        return Finding(gate.NO_WORSE, False, f"{units}, so their errors can't be compared", ""), None
    rejected = np.setdiff1d(before.rows, after.rows, assume_unique=True)
    if len(rejected):
        message = (
            f"it rejects {format_count(len(rejected), 'row')} of {holdout.path} that version {champion} scores; "
            f"the first is row {rejected[0]}"
        )
        return Finding(gate.NO_WORSE, False, message, "Correct or remove these rows"), None
    paired = after.errors[np.isin(after.rows, before.rows, assume_unique=True)]  # the rows that the champion can score
    comparison = gate.compare_with_champion(before.errors, paired, derive_seed(holdout.sha256))
    return gate.check_not_worse(comparison, champion), comparison


def _report_failure(number: int, error: GamesalesError) -> Finding:
    message = f"version {number} can't be scored on the holdout: {error}"
    return Finding(gate.NO_WORSE, False, message, error.hint)


@dataclass(frozen=True)
class GatePreview:
    """What the gate would decide about a version that is not yet registered, on its test titles.

    Attributes:
        champion: the number of the champion. None if there is none.
        metrics: the champion's metrics on the test titles. None if it can't score them.
        intervals: the confidence intervals of its metrics, as ``compare`` shows them. None if the log has no evaluation
            on the test titles.
        comparison: the errors of the version and of the champion. None if they can't be compared.
        refusal: why the gate would refuse the version. Empty if it would not.
    """

    champion: int | None = None
    metrics: Metrics | None = None
    intervals: dict[str, Any] | None = None
    comparison: dict[str, Any] | None = None
    refusal: str = ""


def preview_gate(
    registry: ModelRegistry, training: LabeledTitles, test: LabeledTitles, predicted: FloatArray, target_scale: float
) -> GatePreview:
    """Compare a version that is not yet registered with the champion. No error of the champion is raised.

    The unit of the version's target is the current unit of texts.

    Args:
        registry: the registry of the model.
        training: the training titles of the version.
        test: its n test titles.
        predicted: its predictions for the test titles, float64 (n,).
        target_scale: scales ``scaled_mse``.
    """
    holdout = Holdout(str(test.path), test.sha256, test.table_format)
    state = registry.read_state()
    number, digests = state.target_of(CHAMPION), {state.newest + 1: training.sha256}
    if number is None:
        unseen = gate.check_holdout_unseen(test.sha256, digests, HOLDOUT_HINT)
        return GatePreview(refusal=gate.describe_refusal([unseen]))
    champion = state.read_version(number)
    unseen = gate.check_holdout_unseen(test.sha256, {**read_training_digest(registry, champion), **digests}, "")
    try:
        before = predict_holdout(registry, champion, holdout)
    except GamesalesError as error:
        return GatePreview(number, refusal=gate.describe_refusal([unseen, _report_failure(number, error)]))
    after = HoldoutPredictions(test.rows, test.earnings, predicted, get_unit())
    not_worse, comparison = compare_on_holdout(holdout, number, before, after)
    return GatePreview(
        champion=number,
        metrics=compute_metrics(before.actual, before.predicted, target_scale),
        intervals=_read_intervals(champion, test.sha256),
        comparison=asdict(comparison) if comparison else None,
        refusal=gate.describe_refusal([unseen, not_worse]),
    )


def _read_intervals(champion: Version, sha256: str) -> dict[str, Any] | None:
    """Return the confidence intervals of the newest evaluation on a file, or None if there is none."""
    newest_first = reversed(champion.read_holdout_evaluations())
    return next((dict(past.intervals) or None for past in newest_first if past.data_sha256 == sha256), None)
