"""The site of a registry in a browser: sorting, filters, search and comparison, on a phone and on a desktop.

SCREENSHOTS=1 .venv/bin/python -m pytest tests/pages/test_site.py      takes docs/images/site.png again
"""

import os
import re
from pathlib import Path

import pytest

from gamesales.jobs.compare import compare
from gamesales.jobs.loading import open_registry
from gamesales.jobs.site import write_site
from gamesales.registry.refs import Ref
from gamesales.report.format import format_fraction, format_money, format_percent, format_scientific
from support.browser import DESKTOP, PHONE, SCHEMES, find_faults, save_screenshot, visit, wait_until
from support.sites import SECOND_MODEL, make_site_data
from support.versions import ROOT

IMAGE = ROOT / "docs/images/site.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    make_site_data(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_site("registry", [Path("predictions")], Path("site"))
    return folder


@pytest.fixture(scope="module")
def path(folder):
    """The page of the model with runs."""
    return folder / "site/game-earnings/index.html"


def read_column(page, label, column=0):
    """The texts of a column of a table, in the rows that are shown."""
    rows = page.get_by_role("region", name=f"{label}, table", exact=True).locator("tbody tr:visible")
    return [row.locator("th, td").nth(column).inner_text().split("\n")[0].replace("\u00a0", " ") for row in rows.all()]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["index.html", "game-earnings/index.html", f"{SECOND_MODEL}/index.html"])
def test_pages_have_no_barriers(chromium, folder, name, width, scheme):
    """axe-core finds nothing that keeps people out, no sign is torn from its number, and nothing is cut unseen."""
    with visit(chromium, folder / "site" / name, width=width, scheme=scheme) as page:
        assert find_faults(page) == []


def test_links_lead_through_the_site(chromium, folder):
    """From the list of models to a model, to a version, and to a run."""
    with visit(chromium, folder / "site/index.html") as page:
        page.get_by_role("link", name="game-earnings").click()
        wait_until(page, "document.title", "game-earnings")
        versions = page.get_by_role("region", name="Versions, table", exact=True)
        versions.get_by_role("link", name="version 5").click()
        wait_until(page, "document.title", "version 5")
        page.go_back()
        page.get_by_role("region", name="Runs, table").get_by_role("link", name="2026-07-29").click()
        wait_until(page, "document.title", "game-earnings, run of 2026-07-29")


def test_every_column_sorts(chromium, path):
    """A click on a heading sorts by its column, and a second click in the other direction."""
    with visit(chromium, path) as page:
        table = page.get_by_role("region", name="Versions, table", exact=True)
        assert read_column(page, "Versions") == [f"version {number}" for number in (6, 5, 4, 3, 2, 1)]
        for heading in table.locator("thead button").all():
            heading.click()
            cell = heading.locator("xpath=..")
            assert cell.get_attribute("aria-sort") == "ascending"
            first = read_column(page, "Versions")
            heading.click()
            assert cell.get_attribute("aria-sort") == "descending"
            assert table.locator("[aria-sort]").count() == 1
            assert sorted(first) == sorted(read_column(page, "Versions"))
        table.get_by_role("button", name="Average error", exact=True).click()
        errors = [float(text.strip("$").replace(",", "")) for text in read_column(page, "Versions", 2)]
        assert errors == sorted(errors)
        assert read_column(page, "Versions")[0] == "version 5"


def test_keyboard(chromium, path):
    """A table is sorted without a mouse, and the focus stays."""
    with visit(chromium, path) as page:
        button = page.get_by_role("region", name="Runs, table").get_by_role("button", name="Date")
        button.focus()
        page.keyboard.press("Enter")
        assert read_column(page, "Runs") == sorted(read_column(page, "Runs"))
        page.keyboard.press("Space")
        assert read_column(page, "Runs") == sorted(read_column(page, "Runs"), reverse=True)
        assert button.evaluate("button => button === document.activeElement")


def test_filter_and_search(chromium, path):
    """The filter and the search show rows that match both, and count them."""
    with visit(chromium, path) as page:
        controls = page.get_by_role("search", name="Versions")
        assert controls.get_by_role("status").inner_text() == "6 versions"
        controls.get_by_role("combobox").select_option("retired")
        assert read_column(page, "Versions") == ["version 4"]
        controls.get_by_role("combobox").select_option("in-use")
        controls.get_by_role("searchbox").fill("CHALLENGER weekly")
        assert read_column(page, "Versions") == ["version 6"]
        assert controls.get_by_role("status").inner_text() == "1 of 6 versions"
        runs = page.get_by_role("search", name="Runs")
        runs.get_by_role("combobox").select_option("drifted")
        assert read_column(page, "Runs") == ["2026-08-26", "2026-08-12"]


def test_comparison_has_the_numbers_of_the_command(chromium, folder, path):
    """The comparison of two versions shows the metrics and the intervals of ``gamesales compare``."""
    registry = open_registry(folder / "registry", "game-earnings")
    expected = compare(*((registry, Ref("game-earnings", version=number)) for number in (2, 6)))
    (metrics,) = expected.metrics_by_file
    entries = {entry.name: entry for entry in metrics.entries}
    with visit(chromium, path) as page:
        page.get_by_label("Version", exact=True).select_option("2")
        page.get_by_label("compared with version").select_option("6")
        assert page.url.endswith("#compare=2,6")
        rows = {
            row.locator("small").first.inner_text(): row.inner_text().replace("\u2060", "")
            for row in page.get_by_role("region", name="Metrics of both versions").locator("tbody tr").all()
        }
        for key, term in {"mae": "MAE", "rmse": "RMSE"}.items():
            entry = entries[key]
            assert f"${entry.first:,.0f}" in rows[term]
            assert f"${entry.second:,.0f}" in rows[term]
            assert f"−${-entry.difference:,.0f}" in rows[term]
        low, high = entries["mae"].first_interval
        assert f"${low:,.0f} to ${high:,.0f}" in rows["MAE"]
        assert f"{entries['scaled_mse'].first:.2e}" in rows["scaled MSE"]
        assert f"{entries['r2'].first:.4f}" in rows["R²"]
        assert f"{entries['mape_percent'].first:.2f}%" in rows["MAPE"]
        settings = page.get_by_role("region", name="Settings that differ").inner_text()
        assert re.search(r"layers\.0\.units\s+network\s+24\s+32", settings)
        assert page.locator("#answer").inner_text() == (
            "The average error of version 6 is 20.7% lower than the error of version 2: $1,190 and $1,500."
        )


def test_script_writes_numbers_as_python_does(chromium, path):
    """The script writes amounts, percentages and other metrics with the digits and signs of the other pages."""
    numbers = (0.0, 0.004, 0.31, 9.994, 9.996, 12.5, -3.2, -1234.56, 924.74, 1e6, 8.5e-5, 2.1e-12)
    writers = {
        "mae": format_money,
        "mape_percent": format_percent,
        "r2": lambda value, like: format_fraction(value),
        "scaled_mse": lambda value, like: format_scientific(value),
    }
    cases = [(key, value, [other]) for key in writers for value in numbers for other in (value, 100.0)]
    expected = [writers[key](value, like).replace("-", "−").replace("e−", "e-") for key, value, like in cases]
    with visit(chromium, path) as page:
        assert page.evaluate("cases => cases.map(([key, value, like]) => write(key, value, like))", cases) == expected


def test_marks_of_a_comparison_are_honest(chromium, path):
    """The axis starts at 0, the marks are where the errors are, and they differ by their shape."""
    with visit(chromium, path) as page:
        page.goto(f"{path.as_uri()}#compare=2,6")
        figure = page.locator("#comparison figure").first
        ticks = {text.text_content(): text.bounding_box() for text in figure.locator("text").all()}
        centers = {text: box["x"] + box["width"] / 2 for text, box in ticks.items()}
        dollar = (centers["$1k"] - centers["$0"]) / 1000
        boxes = [figure.locator(shape).bounding_box() for shape in ("circle", "rect")]
        marks = [box["x"] + box["width"] / 2 for box in boxes]
    assert marks == pytest.approx([centers["$0"] + error * dollar for error in (1500, 1190)], abs=1.5)


def test_link_compares_with_the_champion(chromium, path):
    """A version is compared with the champion by a link in its row, which can be sent to others."""
    with visit(chromium, path) as page:
        versions = page.get_by_role("region", name="Versions, table", exact=True)
        versions.get_by_role("row", name="version 3").get_by_role("link", name="compare").click()
        wait_until(page, "document.activeElement.textContent", "How do two versions differ?")
        answer = page.locator("#answer").inner_text().replace("\u00a0", " ")
        assert "version 3 is 50.9% higher than the error of version 5" in answer
        page.goto("about:blank")
        page.goto(f"{path.as_uri()}#compare=1,2")
        assert page.get_by_label("Version", exact=True).input_value() == "1"


def test_page_without_script(chromium, path):
    """Without the script, the tables are complete, no control is shown, and a command replaces the comparison."""
    context = chromium.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("tbody tr:visible").count() == 6 + 6 + 11 + 6
    assert page.locator("input:visible, select:visible, button:visible").count() == 0
    assert page.get_by_text("Without scripts, type gamesales compare A B").is_visible()
    context.close()


def test_printed_page(chromium, path):
    """On paper, all sections and rows are there, and nothing is cut off at the right edge of a table."""
    with visit(chromium, path) as page:
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 720, "height": 1000})
        hidden = page.evaluate("""() => [...document.querySelectorAll(".scroll")]
          .filter(region => region.scrollHeight > region.clientHeight + 1)
          .map(region => region.getAttribute("aria-label"))""")
        wide = page.evaluate("""() => [...document.querySelectorAll(".scroll table")]
          .filter(table => table.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
          .map(table => table.innerText.slice(0, 40))""")
        assert (hidden, wide) == ([], [])
        assert page.locator("section:visible").count() == 6
        assert page.locator("tbody tr:visible").count() > 6 + 6 + 11 + 6
        assert page.locator(".controls:visible, .scripted:visible").count() == 0


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="only on request: SCREENSHOTS=1")
def test_screenshot_for_docs(chromium, path):
    """The top of the page of a model, for docs/images/."""
    with visit(chromium, path, width=1120, scale=1) as page:
        page.set_viewport_size({"width": 1120, "height": 1260})
        save_screenshot(page.screenshot(), IMAGE, colors=64)
    assert IMAGE.stat().st_size < 60_000
