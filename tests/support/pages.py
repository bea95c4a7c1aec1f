"""A version page to render, the text of a page as a person reads it, and a parser of its tags."""

from __future__ import annotations

import dataclasses
import html
import math
import re
from dataclasses import asdict
from html.parser import HTMLParser

import numpy as np

from gamesales.report.version_page import VersionPage
from gamesales.scoring.run_report import InputReport, RunReport

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


def make_metrics(mae: float | None, **changes: float | None) -> dict[str, float | None]:
    """Return a full set of metrics with this average error."""
    defaults = {"scaled_mse": 1.234e-5, "rmse": 1500.0, "r2": 0.9987, "mape_percent": 1.04}
    return {"mae": mae, **defaults, **changes}


def make_page(titles: int = 400, **changes: object) -> VersionPage:
    """Return the page of a version with errors of about 1%."""
    random = np.random.default_rng(7)
    actual = random.uniform(20_000, 200_000, titles)
    predicted = actual * (1 + random.normal(0, 0.01, titles))
    mae = float(np.abs(predicted - actual).mean()) if titles else math.nan
    page = VersionPage(
        model="game-earnings",
        version=2,
        trained_at="2026-11-24T02:00:00Z",
        facts={"Training file": "data/sales_data_training.csv, 1,000 titles"},
        layers=["Dense(50, relu)", "Dense(1, linear)"],
        metrics={
            "this version": make_metrics(mae),
            "gradient boosting": make_metrics(7.4 * mae, scaled_mse=9e-4, r2=0.95, mape_percent=7.7),
        },
        loss=[1e-2, 1e-3, 1e-4],
        validation_loss=[2e-2, 2e-3, 3e-4],
        actual=actual,
        predicted=predicted,
    )
    return dataclasses.replace(page, **changes)


def read_text(document: str) -> str:
    """Return the text that a person reads: no styles, no tags, no word joiners, one space between words."""
    body = document[document.index("<body>") :].replace("\u2060", "")
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


class Outline(HTMLParser):
    """A parser that collects start tags, and checks that every tag is closed."""

    VOID = ("meta", "link", "input")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def make_run_report(**changes: object) -> dict[str, object]:
    """Return the document of a run's report."""
    report = RunReport(
        run_id="0" * 64,
        run_date="2026-11-24",
        model="game-earnings",
        model_version=4,
        bundle_sha256="1" * 64,
        output="out/run_date=2026-11-24",
        rejects=None,
        rows_in=1,
        rows_scored=1,
        rows_rejected=0,
        rows_outside_training_range=0,
        inputs=[InputReport("in.csv", 100, "2" * 64, 1, 0)],
        files=[],
        duplicate_ids=None,
        drift=None,
        shadow=None,
        shards=1,
        shards_resumed=0,
        started="2026-11-24T02:00:00+00:00",
        seconds=0.5,
    )
    return asdict(report) | changes
