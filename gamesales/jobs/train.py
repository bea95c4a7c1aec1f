"""Past titles become a registered version: read, scale, check the export, fit, evaluate, publish."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.labeled_titles import Titles
from gamesales.diagnostics.diagnose import Subject, examine
from gamesales.errors import JobFileError
from gamesales.jobs.evaluate import measure
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.times import utc_now
from gamesales.report.plots import Bounds
from gamesales.report.version_page import VersionPage, render_version_page
from gamesales.scoring.scorer import GRAPH_FILE, Scorer
from gamesales.training import intervals as calibrate
from gamesales.training import parity
from gamesales.training.checkpoint import Checkpoint, Checkpoints
from gamesales.training.export_check import check_before_training, compiled
from gamesales.training.fit import Epoch, History, fit
from gamesales.training.metrics import Metrics, baseline_predictions, column_profile, metrics, training_profile
from gamesales.training.network import build_network, seed_everything
from gamesales.training.provenance import git_commit, software
from gamesales.training.scaling import Scaling, fit_scaler
from gamesales.training.tensorboard import logging_to
from gamesales.training.train_job import TrainJob, read_data

GOLDEN_ROWS = 16
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Trained:
    """A version that was just registered, with its figures on the test file and those of the baselines."""

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


@dataclass(frozen=True)
class Additions:
    """What a version carries besides: keys of the manifest, files of the bundle, facts of its page by their labels."""

    details: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


NOTHING_MORE = Additions()


def train(
    job: TrainJob,
    registry: ModelRegistry,
    *,
    reason: str = "",
    on_stage: Callable[[str], None] = lambda stage: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    tensorboard: Path | None = None,
    checkpoints: Checkpoints | None = None,
    additions: Additions = NOTHING_MORE,
) -> Trained:
    """Train a version and register it.

    Args:
        job: what to train on and how.
        registry: where to register; nothing is written to it before the last step.
        reason: why, for the log.
        on_stage: called with a line as each stage begins.
        on_epoch: called as each epoch ends.
        tensorboard: a folder for TensorBoard's logs.
        checkpoints: where a training that is killed leaves how far it was, for the same one to go on from.
        additions: what the version carries besides.
    """
    started = time.monotonic()
    on_stage("reading titles")
    contract, past, held_back = read_data(job.data)
    learnt, aside = calibrate.divide(job, past)
    checkpoint = Checkpoint.of(checkpoints, job, contract, learnt)
    scaler, scaling = fit_scaler(contract.feature_names, contract.target.name, learnt.features, learnt.earnings)

    on_stage("starting TensorFlow and checking that the network can be exported")
    seed_everything(job.training.seed)
    network = build_network(job.network, len(contract.features))
    probe = parity.sample_contract(contract, past.features, parity.ROWS, job.training.seed)
    scaled = scaling.scale_features(learnt.features), scaling.scale_target(learnt.earnings)
    check_before_training(network, scaling, probe, *scaled, job.training)

    on_stage("training")
    start = checkpoint.read()
    if start:
        on_stage(f"going on after epoch {len(start.history)}, from {checkpoint.path}")
    with logging_to(tensorboard, on_epoch) as tell:
        history = fit(network, *scaled, job.training, tell, start=start, on_snapshot=checkpoint.offer)

    on_stage("evaluating")
    stopping = job.training.early_stopping
    graph, scorer, largest_difference = compiled(network, scaling, probe)
    predicted, predicted_past = _predictions(scorer, held_back), _predictions(scorer, past)
    figures = metrics(held_back.earnings, predicted, scaling)
    calibrated = calibrate.calibrate(job, contract, learnt, aside, scorer.score, on_stage)
    interval = calibrated.as_dict(held_back, predicted) if calibrated else None
    guesses = baseline_predictions(past.features, past.earnings, held_back.features, job.training.seed)
    baselines = {name: metrics(held_back.earnings, guess, scaling) for name, guess in guesses.items()}
    subject = Subject(
        job, contract, past, learnt, held_back, predicted_past, predicted, guesses, scorer.score, scaling, calibrated
    )
    evaluation = examine(subject, on_stage)

    on_stage("registering")
    details = {
        "trained_at": f"{utc_now()[:19]}Z",
        "contract": contract.as_json(),
        "network": job.network.model_dump(mode="json"),
        "training": job.training.model_dump(mode="json"),
        "intervals": job.intervals.model_dump(mode="json"),
        "report": job.report.model_dump(mode="json"),
        "scaling": scaling.as_dict(),
        "metrics": figures,
        "baselines": baselines,
        "evaluation": evaluation,
        "data": {"train": past.as_dict(), "test": held_back.as_dict()},
        "epochs": {"run": len(history), "kept": history.best if stopping and stopping.restore_best else len(history)},
        "training_profile": training_profile(contract.feature_names, past.features),
        "prediction_profile": column_profile("predicted_earnings", predicted_past),
        "parity": {"rows": parity.ROWS, "largest_difference": largest_difference, "tolerance": parity.TOLERANCE},
        "golden": _golden(probe[:GOLDEN_ROWS], scorer, scaling, calibrated),
        **({"interval": interval} if interval else {}),
        "software": software(),
        "git_commit": git_commit(),
        **additions.details,
    }
    files = {
        "model.keras": _keras_file(network),
        "scaler.joblib": _joblib_file(scaler),
        GRAPH_FILE: graph,
        REPORT_FILE: report(subject, details, history, additions.facts),
        **additions.files,
    }
    version = registry.publish(files, details, reason)
    registry.record_evaluation(version, measure(held_back, predicted, scaling), "recorded by training")
    checkpoint.remove()
    folder = f"{registry.location}{registry.find_version(version).folder}"
    return Trained(
        model=registry.model,
        version=version,
        bundle=folder,
        report=f"{folder}/{REPORT_FILE}",
        metrics=figures,
        baselines=baselines,
        parity_difference=largest_difference,
        epochs=len(history),
        seconds=round(time.monotonic() - started, 1),
        interval=interval,
    )


def _predictions(scorer: Scorer, titles: Titles) -> FloatArray:
    predicted = scorer.score(titles.features)
    if not np.isfinite(predicted).all():
        raise JobFileError(
            f"{int((~np.isfinite(predicted)).sum()):,} predictions for {titles.path} are no finite numbers",
            hint="Use another network, or a lower learning rate",
        )
    return predicted


def _golden(
    values: FloatArray, scorer: Scorer, scaling: Scaling, calibrated: calibrate.Calibrated | None
) -> dict[str, Any]:
    """Rows of the contract with the earnings that this version gives for them, for every self-test to come."""
    earnings = scorer.score(values)
    return {
        "values": values.tolist(),
        "expected_predictions": earnings.tolist(),
        "prediction_tolerance": parity.tolerance(earnings, scaling).tolist(),
        **({"prediction_bounds": np.stack(calibrated.interval.bounds(earnings)).tolist()} if calibrated else {}),
    }


def _keras_file(network: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        network.save(path)
        return path.read_bytes()


def _joblib_file(scaler: Any) -> bytes:
    import joblib

    buffer = io.BytesIO()
    joblib.dump(scaler, buffer)
    return buffer.getvalue()


_FIRST_DIGITS = 12


def report(subject: Subject, details: Mapping[str, Any], history: History, facts: Mapping[str, str]) -> bytes:
    """Render the page of a version that is about to be published.

    Args:
        subject: the version.
        details: what its manifest will say.
        history: of its training.
        facts: more of what it is made from, by their labels.
    """
    interval = subject.calibrated.interval if subject.calibrated else None
    evaluation = details["evaluation"]
    page = VersionPage(
        model=subject.job.name,
        trained_at=details["trained_at"],
        facts={**_facts(subject, details, history), **facts},
        layers=[str(layer) for layer in subject.job.network.layers],
        metrics={"this version": details["metrics"], **details["baselines"]},
        loss=history.loss,
        validation_loss=history.validation_loss,
        actual=subject.test.earnings,
        predicted=subject.predicted,
        warnings=[
            *calibrate.warnings(details.get("interval")),
            *(one["text"] for one in evaluation["notices"] if one["level"] == "warning"),
        ],
        evaluation=evaluation,
        bounds=Bounds(interval.coverage, interval.bounds) if interval else None,
    )
    return render_version_page(page).encode("utf-8")


def _facts(subject: Subject, details: Mapping[str, Any], history: History) -> dict[str, str]:
    training, data = subject.job.training, details["data"]
    titles = {
        label: f"{data[role]['path']}, {data[role]['rows']:,} rows, sha256 {data[role]['sha256'][:_FIRST_DIGITS]}"
        for label, role in (("Training titles", "train"), ("Test titles", "test"))
    }
    return {
        **titles,
        "Optimizer": f"{training.optimizer.name}, batches of {training.batch_size}, {len(history)} epochs",
        "Seed": str(training.seed),
        "Scoring graph": f"within ${details['parity']['largest_difference']:.4f} of Keras on {parity.ROWS:,} rows",
        **({"Prediction intervals": calibrate.in_words(details["interval"])} if "interval" in details else {}),
        "Software": ", ".join(f"{name} {release}" for name, release in details["software"].items()),
        "Git commit": details["git_commit"] or "not in a git checkout",
    }
