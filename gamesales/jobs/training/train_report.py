"""The page to look at before promoting, made of what training found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gamesales.jobs.training import calibrate
from gamesales.jobs.training.examine import Subject
from gamesales.model import parity
from gamesales.model.training import History
from gamesales.report.plots import Bounds
from gamesales.report.version_page import VersionPage, render_version_page

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
        actual_usd=subject.test.earnings_usd,
        predicted_usd=subject.predicted,
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
        "Scoring graph": f"within ${details['parity']['largest_difference_usd']:.4f} of Keras on {parity.ROWS:,} rows",
        **({"Prediction intervals": calibrate.in_words(details["interval"])} if "interval" in details else {}),
        "Software": ", ".join(f"{name} {release}" for name, release in details["software"].items()),
        "Git commit": details["git_commit"] or "not in a git checkout",
    }
