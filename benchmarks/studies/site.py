"""How long does the site of a registry take, at first and brought up to date, by the number of versions and nights?

Manifests and pages are as large as those of the default job. Nothing is trained or scored for them.
"""

import statistics
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import measure
from benchmarks.studies import format_row
from gamesales.jobs.loading import open_registry
from gamesales.scoring.column_drift import ColumnDrift
from gamesales.scoring.drift import Drift
from gamesales.scoring.output import OutputPaths
from gamesales.scoring.run_report import FileReport, RunReport, format_report

SIZES = ((10, 365), (100, 1_000), (1_000, 1_000))
ROUNDS = 5
# Numbers in the evaluation of a manifest, and the bytes of the page of a version and of a run.
NUMBERS, VERSION_PAGE, RUN_PAGE = 1_700, 172_000, 43_000
FEATURES, BINS = 9, 10
FIRST = date(2024, 1, 1)


def build_lines() -> Iterator[str]:
    yield format_row(["versions", "nights", "at first", "brought up to date", "size"])
    yield "|" + "---:|" * 5
    for versions, nights in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            make_registry(Path(folder), versions)
            make_nights(Path(folder), nights)
            first, update, size = time_site(Path(folder))
        cells = [f"{versions:,}", f"{nights:,}", f"{first:.1f} s", f"{update:.1f} s", f"{size / 1e6:,.0f} MB"]
        yield format_row(cells)


def time_site(folder: Path) -> tuple[float, float, int]:
    """Return the median CPU seconds of the command at first and later, and the bytes of the site."""
    first, later = [], []
    for number in range(ROUNDS):
        site = folder / f"site{number}"
        words = ["--site", str(site), "--registry", str(folder / "registry"), "--output", str(folder / "predictions")]
        for times in (first, later):
            done = measure([sys.executable, "-m", "gamesales", "report", *words])
            assert done.failure is None, done.failure
            times.append(done.cpu_s)
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    return statistics.median(first), statistics.median(later), size


def make_registry(folder: Path, versions: int) -> None:
    """Publish versions whose errors fall slowly, and promote every fourth."""
    registry = open_registry(folder / "registry", "game-earnings")
    random = np.random.default_rng(1)
    data = {
        role: {"path": f"data/{role}.csv", "sha256": str(place) * 64, "rows": 400}
        for place, role in enumerate(("train", "test"))
    }
    for number in range(1, versions + 1):
        mae = float(1_500 - 600 * number / versions + random.normal(0, 50))
        metrics = {"scaled_mse": mae * 1e-8, "mae": mae, "rmse": 1.3 * mae, "r2": 0.999, "mape_percent": mae / 1_000}
        details: dict[str, Any] = {
            "data": data,
            "metrics": metrics,
            "network": {"layers": [{"layer": "Dense", "units": units, "activation": "silu"} for units in (24, 24, 1)]},
            "training": {"epochs": 300, "batch_size": 32, "seed": number},
            "contract": {"features": [{"name": f"feature_{place}", "kind": "flag"} for place in range(FEATURES)]},
            "software": {"python": "3.11", "gamesales": "0.2.0"},
            "evaluation": {
                f"group {place}": {"mae": value, "rows": place}
                for place, value in enumerate(random.random(NUMBERS // 2))
            },
        }
        registry.publish({"report.html": random.bytes(VERSION_PAGE)}, details, "weekly training")
        intervals = {"mae": [0.9 * mae, 1.1 * mae]}
        evaluation = {"data": "data/test.csv", "data_sha256": data["test"]["sha256"], "rows": 400, "metrics": metrics}
        registry.record_evaluation(number, {**evaluation, "intervals": intervals}, "recorded by training")
        if number % 4 == 1:
            registry.set_alias("champion", number, "a lower error on the holdout", lambda state, version: {})


def make_nights(folder: Path, nights: int) -> None:
    """Write the reports and the pages of nights."""
    random = np.random.default_rng(2)
    edges, counts = list(map(float, range(BINS - 1))), [40] * BINS
    for number in range(nights):
        day = FIRST + timedelta(days=number)
        target = OutputPaths(folder / "predictions", day)
        target.visible.mkdir(parents=True)
        columns = tuple(
            ColumnDrift(
                f"feature_{place}",
                0.1,
                0.05,
                0.3,
                0.0,
                drifted=False,
                edges=edges,
                training_counts=counts,
                counts=counts,
            )
            for place in range(FEATURES + 1)
        )
        report = RunReport(
            run_id=f"{number:064x}",
            run_date=day.isoformat(),
            model="game-earnings",
            model_version=1,
            bundle_sha256="0" * 64,
            output=str(target.visible),
            rejects=None,
            rows_in=400,
            rows_scored=400,
            rows_rejected=0,
            rows_outside_training_range=0,
            inputs=[],
            files=[FileReport("part.parquet", 4)],
            duplicate_ids=None,
            drift=Drift(400, 0.25, columns, ()),
            shadow=None,
            shards=1,
            shards_resumed=0,
            started=f"{day}T02:00:00+00:00",
            seconds=0.2,
        )
        (target.visible / "part.parquet").write_bytes(b"PAR1")
        (target.visible / "_SUCCESS").touch()
        target.report.write_text(format_report(report), encoding="utf-8")
        target.page.write_bytes(random.bytes(RUN_PAGE))
