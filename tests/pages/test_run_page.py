"""The page of a run in a browser: on a phone and on a desktop, in light and in dark mode.

SCREENSHOTS=1 .venv/bin/python -m pytest tests/pages/test_run_page.py      takes docs/images/explanation.png again
"""

import os
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from gamesales.cli.main import run
from gamesales.jobs.run_page import write_run_page
from support.browser import DESKTOP, PHONE, SCHEMES, find_faults, save_screenshot, visit
from support.nights import NIGHT, make_night
from support.versions import ROOT

IMAGE = ROOT / "docs/images/explanation.png"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of a night that has drifted, with rejects and explanations."""
    folder = tmp_path_factory.mktemp("night")
    make_night(folder)
    command = [
        "score",
        "drifted.parquet",
        "--output",
        "out",
        "--date",
        NIGHT,
        "--registry",
        "registry",
        "--explain",
        "3",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(command) == 0
        write_run_page(Path("out"), date.fromisoformat(NIGHT), folder / "run.html", "registry")
    return folder / "run.html"


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_page_has_no_barriers(chromium, path, width, scheme):
    """axe-core finds nothing that keeps people out, no sign is torn from its number, and nothing is cut unseen."""
    with visit(chromium, path, width=width, scheme=scheme) as page:
        for summary in page.locator("summary").all():
            summary.click()
        assert find_faults(page) == []


def test_top_of_page(chromium, path):
    """The title names the date. The headline, the warning and the counts are on the first screen of a desktop."""
    with visit(chromium, path) as page:
        assert page.title() == f"game-earnings, run of {NIGHT}"
        for text in ("unit_price drifted.", "59.99 tonight.", "Titles scored"):
            box = page.get_by_text(text).first.bounding_box()
            assert box["y"] + box["height"] < 900


def test_contents_lead_to_sections(chromium, path):
    """Each link of the contents leads to its section, and each section is in the contents."""
    with visit(chromium, path) as page:
        targets = [link.get_attribute("href") for link in page.locator("nav.contents a").all()]
        headings = [f"#{heading.get_attribute('id')}" for heading in page.locator("section > h2").all()]
    assert targets == headings
    assert len(targets) == 9


def test_bars_are_as_long_as_their_shares(chromium, path):
    """The bars start where the axis has 0, and are as long as the shares: all titles of the run have one price."""
    with visit(chromium, path) as page:
        figure = page.locator("figure", has=page.get_by_role("heading", name="unit_price", exact=True))
        boxes = [bar.bounding_box() for bar in figure.locator("rect").all()][2:]
        labels = {label.text_content(): label.bounding_box() for label in figure.locator("text").all()}
    ticks = {text: box["x"] + box["width"] / 2 for text, box in labels.items() if text.endswith("%")}
    training, tonight = boxes[::2], boxes[1::2]
    assert [box["x"] for box in tonight] == pytest.approx([ticks["0%"]] * len(tonight), abs=1)
    assert [box["width"] for box in tonight[:-1]] == [0] * (len(tonight) - 1)
    assert tonight[-1]["x"] + tonight[-1]["width"] == pytest.approx(ticks["100%"], abs=1)
    assert sum(box["width"] for box in training) == pytest.approx(ticks["100%"] - ticks["0%"], abs=3)


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_waterfall(chromium, path, width):
    """Labels and amounts do not overlap and can be read. The arrows lead from the mean to the prediction."""
    with visit(chromium, path, width=width) as page:
        figure = page.locator("figure", has=page.get_by_role("heading", name="1. T412")).first
        frame = figure.bounding_box()
        boxes = {text.text_content(): text.bounding_box() for text in figure.locator("text").all()}
        arrows = [arrow.bounding_box() for arrow in figure.locator("path[d*='L']").all()]
        summary = figure.locator("summary")
        assert not figure.get_by_text("Effect", exact=True).is_visible()
        summary.press("Enter")
        assert figure.get_by_text("Effect", exact=True).is_visible()
    assert 9 == len(arrows)
    assert all(box["height"] >= 10 for box in boxes.values())
    assert all(
        frame["x"] <= box["x"] and box["x"] + box["width"] <= frame["x"] + frame["width"] for box in boxes.values()
    )
    label, amount = boxes["suitable_for_kids: yes"], boxes["prediction"]
    assert label["x"] == pytest.approx(amount["x"], abs=2)
    rows = sorted(boxes.values(), key=lambda box: (round(box["y"]), box["x"]))
    pairs = pairwise(rows)
    assert all(b["x"] >= a["x"] + a["width"] for a, b in pairs if abs(a["y"] - b["y"]) < 2)


def test_printed_page(chromium, path):
    """On paper, nothing is cut off at the right edge of a table."""
    with visit(chromium, path) as page:
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 720, "height": 1000})
        wide = page.evaluate("""() => [...document.querySelectorAll(".scroll table")]
          .filter(table => table.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
          .map(table => table.innerText.slice(0, 40))""")
    assert wide == []


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="only on request: SCREENSHOTS=1")
def test_screenshot_for_docs(chromium, path):
    """The explanation of a title, for docs/images/."""
    with visit(chromium, path) as page:
        figure = page.locator("figure", has=page.get_by_role("heading", name="3. "))
        save_screenshot(figure.screenshot(), IMAGE, colors=128)
    assert IMAGE.stat().st_size < 60_000
