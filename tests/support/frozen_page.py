"""The page of a real version as data, so that tests render it without training.

PYTHONPATH=.:tests .venv/bin/python -m support.frozen_page      makes tests/pages/version_page.json again
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from gamesales.data.contract import Column
from gamesales.report.version_page import VersionPage
from gamesales.scoring.prediction_interval import PredictionInterval
from support.versions import ROOT

FROZEN = ROOT / "tests/pages/version_page.json"
_ARRAYS = ("actual", "predicted", "rows", "features")


def read_frozen_page(**changes: object) -> VersionPage:
    """Read the page of version 2 of the default job. The champion is version 1, the course's network."""
    fields = json.loads(FROZEN.read_text(encoding="utf-8"))
    arrays = {name: np.array(fields[name]) for name in _ARRAYS}
    columns = [Column(**column) for column in fields["columns"]]
    page = VersionPage(**{**fields, **arrays, "columns": columns, "band": PredictionInterval(**fields["band"])})
    return dataclasses.replace(page, **changes)


def format_page(page: VersionPage) -> str:
    """Format a page as JSON, a line for each field."""
    fields = dataclasses.asdict(page) | {name: getattr(page, name).round(2).tolist() for name in _ARRAYS}
    lines = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Train the course's network, promote it, train the default job, and keep the second page."""
    from gamesales.cli.main import run
    from gamesales.jobs import training_report

    pages = []
    render = training_report.render_version_page
    training_report.render_version_page = lambda page: pages.append(page) or render(page)
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GAMESALES_REGISTRY"] = str(Path(folder) / "registry")
        for command in (["train", "--preset", "course"], ["promote", "1", "--reason", "the first"], ["train"]):
            assert run(command) == 0
    FROZEN.write_text(format_page(pages[-1]), encoding="utf-8")


if __name__ == "__main__":
    main()
