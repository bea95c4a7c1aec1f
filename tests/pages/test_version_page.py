"""The page of a version in a browser: on a phone and on a desktop, in light and in dark mode.

SCREENSHOTS=1 .venv/bin/python -m pytest tests/pages/test_version_page.py      takes docs/images/report.png again
"""

import os
import re

import pytest

from gamesales.report.version_page import render_version_page
from support.browser import DESKTOP, PHONE, SCHEMES, find_faults, save_screenshot, visit
from support.frozen_page import read_frozen_page
from support.versions import ROOT

IMAGE = ROOT / "docs/images/report.png"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of a real version, with a champion."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_version_page(read_frozen_page()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """The page of a version that the gate would refuse, with a group that is worse than the others."""
    page = read_frozen_page()
    comparison = {**page.gate["comparison"], "champion_mae": 800.0, "difference": 124.7, "bound": 190.0, "limit": 40.0}
    gate = {**page.gate, "comparison": {**comparison, "passes": False}, "refusal": "its mean absolute error is larger"}
    slices = [{**group, "is_worse": group["label"] == "5 stars"} for group in page.evaluation["slices"]]
    evaluation = {**page.evaluation, "slices": slices}
    path = tmp_path_factory.mktemp("refused") / "report.html"
    page = read_frozen_page(gate=gate, evaluation=evaluation, warnings=["The gate would refuse this version."])
    path.write_text(render_version_page(page), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_page_has_no_barriers(chromium, refused, width, scheme):
    """axe-core finds nothing that keeps people out, no sign is torn from its number, and nothing is cut unseen."""
    with visit(chromium, refused, width=width, scheme=scheme) as page:
        assert find_faults(page) == []


def test_top_of_page(chromium, path):
    """The title names the version. The headline, the comparison and the state are on the first screen of a desktop."""
    with visit(chromium, path) as page:
        assert page.title().replace("\u00a0", " ") == "game-earnings, version 2"
        for text in ("On 400 test titles", "Compared with the champion", "State: new, not promoted."):
            box = page.get_by_text(text).first.bounding_box()
            assert box["y"] + box["height"] < 900


def test_contents_lead_to_sections(chromium, path):
    """Each link of the contents scrolls to its section. Each section is in the contents."""
    with visit(chromium, path) as page:
        links = page.locator("nav.contents a")
        targets = [link.get_attribute("href") for link in links.all()]
        assert targets == [f"#{heading.get_attribute('id')}" for heading in page.locator("main h2[id]").all()][1:]
        assert len(targets) == 9
        for link, target in zip(links.all(), targets, strict=True):
            link.click()
            assert page.locator(target).bounding_box()["y"] < 450 or target == targets[-1]
            assert page.url.endswith(target)


def test_strips_match_their_scale(chromium, path):
    """The dot of each group is on the scale where its average error is."""
    with visit(chromium, path) as page:
        places = page.evaluate("""() => [...document.querySelectorAll("section[aria-labelledby=groups] tr")]
          .filter(row => row.querySelector(".line b"))
          .map(row => [row.querySelector("td:nth-of-type(2)").innerText,
                       row.querySelector(".line b").getBoundingClientRect()])
          .map(([text, box]) => [Number(text.replace(/[^0-9]/g, "")), box.left + box.width / 2])""")
        ticks = page.evaluate("""() => [...document.querySelectorAll("section[aria-labelledby=groups] tfoot .scale i")]
          .map(tick => [tick.getBoundingClientRect(), tick.innerText])
          .map(([box, label]) => [box.left + box.width / 2, label])""")
    (start, _), *_, (end, label) = ticks
    assert len(places) == len(read_frozen_page().evaluation["slices"])
    unit = (end - start) / (1000 * float(label[1:-1]))
    for error, x in places:
        assert x - start == pytest.approx(error * unit, abs=1)


def test_tables_scroll_to_their_end(chromium, path):
    """On a phone, a shaded edge shows that a table continues, until its end. On a desktop, there is none."""
    edge = "table => getComputedStyle(table, '::after').opacity"
    with visit(chromium, path, width=PHONE) as page:
        table = page.locator(".scroll").first
        assert table.evaluate(edge) == "1"
        table.evaluate("table => table.scrollLeft = table.scrollWidth")
        page.wait_for_function("() => getComputedStyle(document.querySelector('.scroll'), '::after').opacity === '0'")
    with visit(chromium, path) as page:
        assert {"0"} == {table.evaluate(edge) for table in page.locator(".scroll").all()}


def test_page_works_by_keyboard(chromium, path):
    """Tab reaches the links and the tables, and Enter opens the job file."""
    with visit(chromium, path) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText") == "Is it better?"
        page.locator("summary").focus()
        page.keyboard.press("Enter")
        assert page.locator("pre").is_visible()
        assert 'name = "game-earnings"' in page.locator("pre").inner_text()


def test_print_has_whole_tables(chromium, path):
    """On paper, tables are as wide as the page, in black on white."""
    with visit(chromium, path, width=703, scheme="dark") as page:
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(26, 29, 33)"
        edges = page.evaluate("[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right)")
        assert max(edges) <= 704


def test_worse_group_is_marked_by_a_sign(chromium, refused):
    """A worse group has a sign and words, not only a color."""
    with visit(chromium, refused) as page:
        row = page.get_by_role("row", name=re.compile("5 stars worse than the others")).first
        assert row.evaluate("row => getComputedStyle(row.querySelector('th'), '::before').content") == '"▲ "'


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="only on request: SCREENSHOTS=1")
def test_screenshot_for_docs(chromium, path):
    """The top of the page, for docs/images/."""
    with visit(chromium, path, width=1120, scale=1) as page:
        page.set_viewport_size({"width": 1120, "height": 1260})
        save_screenshot(page.screenshot(), IMAGE)
    assert IMAGE.stat().st_size < 60_000
