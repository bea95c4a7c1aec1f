"""The page of a backtest in a browser: on a phone and on a desktop."""

from contextlib import chdir

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from gamesales.cli.main import run
from gamesales.jobs.loading import open_registry
from support.browser import DESKTOP, PHONE, find_faults, visit
from support.versions import publish_promoted, publish_simple, simple_earnings, title_values, titles_table

TITLES = 60
# The version of each night: version 2 has a single night.
NIGHTS = {"2026-08-05": 1, "2026-08-26": 1, "2026-09-02": 2}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of three nights by two versions."""
    folder = tmp_path_factory.mktemp("backtest")
    publish_promoted(folder)
    publish_simple(open_registry(folder / "registry", "game-earnings"), bias=500.0)
    ids = pa.array([f"T{number}" for number in range(TITLES)])
    earnings = simple_earnings(title_values(TITLES, seed=8)) + np.random.default_rng(4).normal(0, 900, TITLES)
    with chdir(folder):
        parquet.write_table(titles_table(TITLES, seed=8, title_id=ids), "in.parquet")
        csv.write_csv(pa.table({"title_id": ids, "total_earnings": np.maximum(earnings, 1)}), "actuals.csv")
        for night, version in NIGHTS.items():
            words = ["score", "in.parquet", "--output", "out", "--date", night, "--model", str(version)]
            assert run([*words, "--registry", "registry"]) == 0
        words = ["backtest", "--predictions", "out", "--actuals", "actuals.csv", "--page", "page.html", "--dry-run"]
        assert run([*words, "--registry", "registry"]) == 0
    return folder / "page.html"


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (DESKTOP, "dark")])
def test_page_has_no_barriers(chromium, path, width, scheme):
    """axe-core finds nothing that keeps people out, no sign is torn from its number, and nothing is cut unseen."""
    with visit(chromium, path, width=width, scheme=scheme) as page:
        assert find_faults(page) == []


def test_legend_hides_nothing(chromium, path):
    """The axis of the errors starts at 0. The legend is below the axes, and names the versions beside their marks."""
    with visit(chromium, path) as page:
        figure = page.locator("figure", has=page.get_by_role("heading", name="Average error by date"))
        texts = {text.text_content(): text.bounding_box() for text in figure.locator("text").all()}
    assert texts["$0"]["y"] == max(box["y"] for text, box in texts.items() if text.startswith("$"))
    for version in ("version 1", "version 2"):
        assert texts[version]["y"] > texts["$0"]["y"] + texts["$0"]["height"]
