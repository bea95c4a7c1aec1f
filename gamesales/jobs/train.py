"""Train a version on past titles and register it."""

from __future__ import annotations

import io
import math
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.contract import Contract
from gamesales.data.labeled_titles import LabeledTitles
from gamesales.diagnostics.diagnose import TrainedModel, diagnose
from gamesales.diagnostics.notices import Notice
from gamesales.errors import JobFileError, UsageError, warn
from gamesales.jobs.gate_evidence import GatePreview, preview_gate
from gamesales.jobs.loading import find_same_weights
from gamesales.jobs.training_report import list_all_warnings, render_report
from gamesales.registry.bundle import REPORT_FILE
from gamesales.report.format import format_count
from gamesales.report.version_page import DIVERGED
from gamesales.scoring.engines.local import count_cores
from gamesales.scoring.reference_titles import REFERENCES_FILE, format_references
from gamesales.scoring.scorer import GRAPH_FILE, Scorer, get_target_range
from gamesales.stats.amounts import InUnit, keeps_unit, set_unit
from gamesales.stats.herding import choose_representatives
from gamesales.stats.metrics import HEADINGS, Metrics, compute_metrics, format_metrics
from gamesales.training import parity
from gamesales.training.baselines import BaselineData, Baselines, fit_baselines
from gamesales.training.checkpoint import TrainingCheckpoint, list_software_releases, log_to_tensorboard
from gamesales.training.column_transformer import make_transformers
from gamesales.training.encoding import add_encoder, fit_encoding
from gamesales.training.evaluation import evaluate_predictions, profile_column, profile_features
from gamesales.training.fit import Epoch, LossHistory, fit
from gamesales.training.intervals import (
    calibrate_intervals,
    check_coverage,
    split_for_calibration,
)
from gamesales.training.keras_objects import seed_everything
from gamesales.training.network import build_network, check_training_step, compute_weights_digest
from gamesales.training.refits import INTERVALS, Refits, count_workers, make_report_folds, plan_refits
from gamesales.training.scaling import fit_scaler
from gamesales.training.train_job import TrainJob, read_data
from gamesales.training.widening import record_combinations
from gamesales.training.workers import open_workers

if TYPE_CHECKING:
    from gamesales.registry.registry import ModelRegistry

_GOLDEN_ROWS = 16


@dataclass(frozen=True)
class TrainingResult(InUnit):
    """A version that was just registered, with its metrics and those of the baselines on the test titles.

    Attributes:
        gate: what the gate would decide about the version.
        same_weights_as: an earlier version with the same weights. None if there is none.
        warnings: those of the report, and why the gate would refuse the version.
    """

    model: str
    version: int
    bundle: str
    report: str
    metrics: Metrics
    baselines: dict[str, Metrics]
    parity_difference: float
    epochs: int
    seconds: float
    interval: dict[str, Any] | None
    gate: GatePreview
    same_weights_as: int | None
    warnings: list[str]

    def __repr__(self) -> str:
        _, mae, *_ = format_metrics(self.metrics, self)
        warnings = format_count(len(self.warnings), "warning")
        return f"TrainingResult(version {self.version} of {self.model}: MAE {mae} on the test titles, {warnings})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        version, gate = f"version {self.version}", self.gate
        champion = {f"version {gate.champion}, champion": gate.metrics} if gate.metrics else {}
        metrics = {version: self.metrics, **champion, **self.baselines}
        rows = [[name, *format_metrics(values, self)] for name, values in metrics.items()]
        return make_table(f"{version} of {self.model}: metrics on the test titles", ["", *HEADINGS], rows)


@dataclass(frozen=True)
class BundleExtras:
    """Additional content of a version: keys of its manifest, files by name, and facts of its page by label."""

    manifest: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


NO_EXTRAS = BundleExtras()


@keeps_unit
def train(
    job: TrainJob,
    registry: ModelRegistry,
    *,
    reason: str = "",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    tensorboard: Path | None = None,
    checkpoints: Path | None = None,
    checkpoint_epochs: int = 10,
    extras: BundleExtras = NO_EXTRAS,
) -> TrainingResult:
    """Train a version and register it.

    Args:
        job: the titles, the network and the training.
        registry: the registry of the model. It must be writable. Nothing stays in it before the last stage.
        reason: why, for the log.
        on_stage: called with a line of text when each stage begins.
        on_epoch: called when each epoch ends.
        tensorboard: the folder of TensorBoard's logs.
        checkpoints: the folder of checkpoints. The same job resumes from its checkpoint if training was killed.
        checkpoint_epochs: the number of epochs between two checkpoints.
        extras: additional content of the version.

    Raises:
        UsageError: there is no epoch between two checkpoints.
        JobFileError: the network can't be exported, or its training diverges.
        InputError: a file of titles can't be used.
    """
    if checkpoint_epochs < 1:
        raise UsageError(f"expected 1 or more epochs between two checkpoints, received {checkpoint_epochs}")
    started = time.monotonic()
    on_stage("reading titles")
    contract, training_titles, test_titles = read_data(job)
    set_unit(contract.unit)
    registry.check_writable()
    fit_titles, calibration_titles = split_for_calibration(job, training_titles)
    checkpoint = TrainingCheckpoint.open(checkpoints, checkpoint_epochs, job, contract, fit_titles)
    scaler, scaling = fit_scaler(contract, fit_titles.features, fit_titles.earnings)
    encoding = fit_encoding(contract, fit_titles.features)
    layers = add_encoder(job.network, encoding)
    scaled = scaling.scale_features(fit_titles.features), scaling.scale_target(fit_titles.earnings)
    plan = plan_refits(job, contract, training_titles, fit_titles)
    folds = make_report_folds(job, training_titles, plan)

    with open_workers(count_workers(layers, plan, count_cores())) as submit:
        refits = Refits(layers, plan, submit)
        fitting = submit(
            fit_baselines,
            training_titles.features,
            training_titles.earnings,
            test_titles.features,
            folds,
            job.training.seed,
            BaselineData.from_contract(contract, scaling.log),
        )
        on_stage("starting TensorFlow and checking that the network can be exported")
        seed_everything(job.training.seed)
        network = build_network(layers, len(contract.features))
        probe = parity.sample_contract(contract, training_titles.features, parity.ROWS, job.training.seed)
        parity.check_export(network, scaling, probe)
        check_training_step(network, *scaled, job.training)

        on_stage("training")
        start = checkpoint.read()
        if start:
            on_stage(f"resuming after epoch {len(start.history)}, from {checkpoint.path}")
        with log_to_tensorboard(tensorboard, on_epoch) as log_epoch:
            history = fit(network, *scaled, job.training, log_epoch, start=start, on_snapshot=checkpoint.save_if_due)

        # Before further networks are made here: the graph has names that Keras counts up.
        graph, scorer, parity_difference = parity.compile_and_check(network, scaling, probe)

        on_stage("tuning the baseline")
        baselines: Baselines = fitting.result()
        if len(refits):
            on_stage(f"training {format_count(len(refits), 'further network')} for the intervals and the report")
        refits.finish()

    on_stage("evaluating")
    networks = refits.get(INTERVALS) if INTERVALS in refits else []
    model = TrainedModel(
        job=job,
        contract=contract,
        training_titles=training_titles,
        fit_titles=fit_titles,
        test_titles=test_titles,
        test_predictions=_predict(scorer, test_titles, contract),
        training_predictions=_predict(scorer, training_titles, contract),
        intervals=calibrate_intervals(job, contract, fit_titles, calibration_titles, scorer.score, networks),
        baselines=baselines,
        folds=folds,
        predict=scorer.score,
        scaling=scaling,
        refits=refits,
    )
    evaluation = diagnose(model)

    on_stage("comparing with the champion and registering")
    golden_rows = _predict_golden_rows(model, probe[:_GOLDEN_ROWS])
    references = _choose_references(model)
    weights_digest = compute_weights_digest(network, layers, scaling.as_dict())
    gate = preview_gate(registry, training_titles, test_titles, model.test_predictions, scaling.target_scale)
    manifest = {
        **_build_manifest(model, history, evaluation, parity_difference, golden_rows),
        "gate": asdict(gate),
        "weights_sha256": weights_digest,
        "same_weights_as": find_same_weights(registry, graph, weights_digest),
        "reference_titles": len(references),
        **extras.manifest,
    }
    files = {
        "model.keras": _save_network(network),
        "scaler.joblib": _save_scaler(
            make_transformers(contract, encoding, scaling) if encoding or scaling.log else scaler
        ),
        GRAPH_FILE: graph,
        **({REFERENCES_FILE: format_references(contract, references)} if len(references) else {}),
        **extras.files,
    }
    pages = [name for name in extras.files if name.endswith(".html")]

    def add_report(number: int) -> dict[str, bytes]:
        return {**files, REPORT_FILE: render_report(model, manifest, history, extras.facts, registry, number, pages)}

    version = registry.publish_numbered(add_report, manifest, reason)
    measured = evaluate_predictions(test_titles, model.test_predictions, scaling, contract.unit)
    registry.record_evaluation(version, measured, "recorded by training")
    checkpoint.remove()
    warnings = list_all_warnings(manifest)
    for text in warnings:
        warn(text)
    folder = f"{registry.location}{registry.find_version(version).folder}"
    return TrainingResult(
        model=registry.model,
        version=version,
        bundle=folder,
        report=f"{folder}/{REPORT_FILE}",
        metrics=manifest["metrics"],
        baselines=manifest["baselines"],
        parity_difference=parity_difference,
        epochs=len(history),
        seconds=round(time.monotonic() - started, 1),
        interval=manifest.get("interval"),
        gate=gate,
        same_weights_as=manifest["same_weights_as"],
        warnings=warnings,
    )


def _predict(scorer: Scorer, titles: LabeledTitles, contract: Contract) -> FloatArray:
    predicted = scorer.score(titles.features)
    if not np.isfinite(predicted).all():
        raise JobFileError(
            f"of the predictions for {titles.path}, {int((~np.isfinite(predicted)).sum()):,} are not finite numbers",
            hint="Use another network, or a lower learning rate",
        )
    return np.clip(predicted, *get_target_range(contract))  # as scoring does


def _build_manifest(
    model: TrainedModel,
    history: LossHistory,
    evaluation: Mapping[str, Any],
    parity_difference: float,
    golden_rows: Mapping[str, Any],
) -> dict[str, Any]:
    job, training, test, scaling = model.job, model.training_titles, model.test_titles, model.scaling
    stopping = job.training.early_stopping
    interval = model.intervals.as_dict(test, model.test_predictions) if model.intervals else None
    notices = [
        *(Notice("warning", "coverage", text) for text in check_coverage(interval)),
        *(
            []
            if np.isfinite([*history.loss, *history.validation_loss]).all()
            else [Notice("warning", "loss", DIVERGED)]
        ),
    ]
    return {
        "trained_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "contract": model.contract.as_json(),
        "network": job.network.model_dump(mode="json"),
        "training": job.training.model_dump(mode="json"),
        "intervals": job.intervals.model_dump(mode="json"),
        "report": job.report.model_dump(mode="json"),
        "scaling": scaling.as_dict(),
        "metrics": compute_metrics(test.earnings, model.test_predictions, scaling.target_scale),
        "baselines": {
            name: compute_metrics(test.earnings, predicted, scaling.target_scale)
            for name, predicted in model.baselines.test.items()
        },
        "boosting": asdict(model.baselines.boosting),
        "evaluation": {**evaluation, "notices": [*map(asdict, notices), *evaluation["notices"]]},
        "data": {"train": training.as_dict(), "test": test.as_dict()},
        "epochs": {
            "run": len(history),
            "kept": history.best_epoch if stopping and stopping.restore_best else len(history),
        },
        "training_profile": profile_features(model.contract, training.features),
        "flag_combinations": record_combinations(model.contract, training.features),
        "prediction_profile": profile_column("predicted_earnings", model.training_predictions),
        "parity": {"rows": parity.ROWS, "largest_difference": parity_difference, "tolerance": parity.TOLERANCE},
        "golden": golden_rows,
        **({"interval": interval} if interval else {}),
        "software": list_software_releases(),
        "git_commit": find_git_commit(),
    }


def find_git_commit() -> str | None:
    """Return the commit of the current folder's checkout, with ``-dirty`` if it has changes, or None outside one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip()


def _predict_golden_rows(model: TrainedModel, values: FloatArray) -> dict[str, Any]:
    """Return rows of the contract with their predictions, which every self-test must reproduce."""
    predicted = model.predict(values)
    golden = {
        "values": [[None if math.isnan(value) else value for value in row] for row in values.tolist()],
        "expected_predictions": predicted.tolist(),
        "prediction_tolerance": parity.compute_tolerance(predicted, model.scaling).tolist(),
    }
    if model.intervals:
        golden["prediction_bounds"] = np.stack(model.intervals.interval.bounds(predicted)).tolist()
    return golden


def _choose_references(model: TrainedModel) -> FloatArray:
    """Choose training titles that represent all of them with their predictions: features only, (r, k)."""
    titles, seed = model.training_titles, model.job.training.seed
    values = np.column_stack([titles.features, model.training_predictions])
    return titles.features[choose_representatives(values, model.job.reference_titles, seed)]


def _save_network(network: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        network.save(path)
        return path.read_bytes()


def _save_scaler(scaler: Any) -> bytes:
    import joblib

    buffer = io.BytesIO()
    joblib.dump(scaler, buffer)
    return buffer.getvalue()
