"""The page of a version: its words, and that it is one small and safe file."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest

from gamesales.report.format import (
    format_compact_money,
    format_money,
    format_percent,
    format_range,
    format_scientific,
    format_signed_money,
)
from gamesales.report.headline import write_headline
from gamesales.report.version_page import render_version_page
from support.pages import HOSTILE, Outline, make_metrics, make_page, read_text
from support.versions import ROOT


@pytest.fixture(scope="module")
def document() -> str:
    return render_version_page(make_page())


# -- the file ----------------------------------------------------------------------------------------


def test_other_process_same_bytes(document: str) -> None:
    """The page does not depend on the time, on chance, or on the process, whose hash seed differs."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from gamesales.report.version_page import render_version_page\nfrom support.pages import make_page\n"
        "sys.stdout.buffer.write(render_version_page(make_page()).encode())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert document == other.stdout.decode()


def test_matplotlib_style_is_ignored(document: str) -> None:
    """The user's matplotlib style does not show in the page, and rendering keeps the style."""
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path"}):
        assert document == render_version_page(make_page())
        assert mpl.rcParams["font.size"] == 30


def test_page_is_self_contained(document: str) -> None:
    """Without scripts, addresses and imports, the page opens on a machine without a network."""
    tags = Outline(document).tags
    assert "://" not in document
    assert "@import" not in document
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", document))
    assert not {"script", "img", "iframe", "object"} & {tag for tag, _ in tags}
    assert {"data:,"} == {attributes["href"] for tag, attributes in tags if tag == "link"}


def test_page_is_well_formed(document: str) -> None:
    """Every tag is closed, ids are unique and every reference inside the page has its target."""
    outline = Outline(document)
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    labels = [attributes["aria-labelledby"] for _, attributes in outline.tags if "aria-labelledby" in attributes]
    assert outline.open == []
    assert len(ids) == len(set(ids))
    assert {*re.findall(r'(?:url\(|href=")#([\w-]+)', document), *labels} <= set(ids)


def test_plots_have_text_alternatives(document: str) -> None:
    """Each plot is an image with a label, and each header of a table has a scope."""
    tags = Outline(document).tags
    images = [attributes["aria-label"] or "" for _, attributes in tags if attributes.get("role") == "img"]
    assert [label.split(".")[0] for label in images] == [
        "Predicted against actual",
        "Error by predicted earnings",
        "Error in dollars",
        "Error in percent",
        "Loss by epoch",
    ]
    assert {"col", "row"} == {attributes.get("scope") for tag, attributes in tags if tag == "th"}


def test_plots_use_page_colors(document: str) -> None:
    """Plots have no fixed colors, so that they are legible in light mode, in dark mode and on paper."""
    for svg in re.findall(r"<svg.*?</svg>", document, re.DOTALL):
        assert "var(--ink)" in svg or "var(--accent)" in svg
        assert re.findall(r"#[0-9a-f]{6}\b(?!\))", re.sub(r'(href="|url\()#\w+', "", svg)) == []


@pytest.mark.parametrize("titles", [pytest.param(1_501, marks=pytest.mark.slow), 200_000])
def test_page_stays_small(titles: int) -> None:
    """The size of the page does not grow with the number of test titles."""
    assert len(render_version_page(make_page(titles)).encode()) < 200_000


def test_hostile_names_are_escaped() -> None:
    """Names of files and columns are shown as text and never become markup."""
    metrics = {"this version": make_metrics(10.0), HOSTILE: make_metrics(20.0)}
    page = make_page(
        model=HOSTILE,
        trained_at=HOSTILE,
        facts={HOSTILE: HOSTILE},
        layers=[HOSTILE],
        metrics=metrics,
        warnings=[HOSTILE],
    )
    document = render_version_page(page)
    assert not {"script", "img"} & {tag for tag, _ in Outline(document).tags}
    assert read_text(document).count(HOSTILE) >= 7


def test_package_is_light_to_import() -> None:
    """Importing the package imports neither matplotlib nor jinja2."""
    program = "import sys, gamesales.report; print({'matplotlib', 'jinja2'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"


# -- the headline -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mae", "baseline_mae", "expected"),
    [
        (1020.0, 7548.0, "has an average error of $1,020 (MAPE 1.0%): 7.4 times lower than trees."),
        (1020.0, 15_000.0, "has an average error of $1,020 (MAPE 1.0%): 15 times lower than trees."),
        (1020.0, 1200.0, "has an average error of $1,020 (MAPE 1.0%): 15% lower than trees."),
        (995.0, 999.0, "has an average error of $995 (MAPE 1.0%): hardly better than trees, which has $999."),
        (1020.0, 980.0, "has an average error of $1,020 (MAPE 1.0%): not better than trees, which has $980."),
        (980.0, 980.0, "has an average error of $980 (MAPE 1.0%): not better than trees, which has $980."),
        (0.0, 980.0, "has an average error of $0 (MAPE 1.0%): 100% lower than trees."),
        (1020.0, math.nan, "has an average error of $1,020 (MAPE 1.0%); there is no baseline to compare it with."),
        (math.nan, 980.0, "has no average error: its predictions are not finite numbers."),
        (None, 980.0, "has no average error: its predictions are not finite numbers."),
    ],
)
def test_headline_compares_with_baseline(mae: float | None, baseline_mae: float, expected: str) -> None:
    """The headline does not flatter a small lead and does not hide a higher error."""
    headline, _ = write_headline(400, {"this version": make_metrics(mae), "trees": make_metrics(baseline_mae)})
    start, _, comparison = headline.replace("\u00a0", " ").partition(" this version ")
    assert start == "On 400 test titles,"
    assert comparison == expected


def test_headline_uses_best_baseline() -> None:
    """The headline compares with the baseline that has the lowest error."""
    metrics = {
        "this version": make_metrics(100.0),
        "mean": make_metrics(900.0),
        "linear regression": make_metrics(50.0),
    }
    headline, is_better = write_headline(1, metrics)
    assert is_better is False
    assert headline.startswith("On 1 test title, this version")
    assert headline.endswith("not better than linear regression, which has $50.")


def test_headline_skips_infinite_mape() -> None:
    """A title without earnings makes MAPE infinite, and the headline leaves MAPE out."""
    metrics = {"this version": make_metrics(100.0, mape_percent=math.inf), "mean": make_metrics(900.0)}
    assert "has an average error of $100: 9.0" in write_headline(400, metrics)[0]


def test_headline_without_test_titles() -> None:
    """Without test titles the headline makes no claim."""
    text = read_text(render_version_page(make_page(titles=0)))
    assert "There are no test titles, so the accuracy of this version is unknown." in text


def test_page_opens_with_headline(document: str) -> None:
    """The headline is the first sentence of the page."""
    text = read_text(document)
    assert text.startswith(
        "game-earnings, version 2 trained November 24, 2026, 02:00 UTC On 400 test titles, this version has"
    )
    assert "7.4 times lower than gradient boosting." in text


# -- numbers and warnings ----------------------------------------------------------------------------


def test_best_metrics_are_bold(document: str) -> None:
    """The lowest errors and the highest R² are bold; equal values are all bold."""
    bold = re.findall(r"<td><strong>(.*?)</strong>", document)
    assert bold[1:] == ["$1,500", "1.0%", "0.9987", "1.23e-05", "$1,500"]


def test_non_finite_metrics_are_dashes() -> None:
    """Missing, NaN and infinite metrics are shown as dashes."""
    missing = dict.fromkeys(make_metrics(0.0), math.nan) | {"r2": None, "rmse": -math.inf}
    document = render_version_page(make_page(metrics={"this version": missing}))
    assert document.count("<td>—</td>") == 5
    assert "nan" not in read_text(document).lower()


@pytest.fixture(scope="module")
def page_with_faults() -> str:
    """The text of a page with every fault that the page itself finds, and with a warning."""
    page = make_page(
        warnings=["The holdout shares 12 titles with it."],
        loss=[1.0, math.inf, math.nan],
        validation_loss=[],
        metrics={"this version": make_metrics(1.0)},
    )
    page.predicted[:2] = [math.nan, math.inf]
    page.actual[2:5] = 0
    return read_text(render_version_page(page))


def test_warnings_come_first(page_with_faults: str) -> None:
    """Warnings are above all numbers."""
    for warning in ("The holdout shares 12 titles with it.", "2 of 400 test titles", "The loss became", "The recorded"):
        assert page_with_faults.index(warning) < page_with_faults.index("Average error")


def test_no_warnings_no_heading(document: str) -> None:
    """A page without warnings does not have their heading."""
    assert "Read this before you promote" not in read_text(document)


def test_page_warns_of_non_finite_predictions(page_with_faults: str) -> None:
    """The page itself finds predictions that are not finite."""
    assert "2 of 400 test titles without a finite prediction or finite earnings." in page_with_faults


def test_page_warns_of_diverged_training(page_with_faults: str) -> None:
    """The page itself finds a loss that is not finite."""
    assert "The loss became infinite or not a number during training." in page_with_faults
    assert "After 3 epochs: not a number." in page_with_faults


def test_page_warns_of_inconsistent_metrics(page_with_faults: str) -> None:
    """The page itself finds metrics that do not belong to the predictions."""
    sentence = "The recorded average error is $1.00, but the average error of the predictions on this page is"
    assert sentence in page_with_faults


def test_predictions_must_match_titles() -> None:
    """A page needs one prediction for each title."""
    with pytest.raises(
        ValueError,
        match=r"one prediction for each title, found predictions of shape \(3,\) for titles of shape \(400,\)",
    ):
        make_page(predicted=np.zeros(3))


def test_titles_without_earnings_are_skipped(page_with_faults: str) -> None:
    """Titles without earnings have no error in percent."""
    assert "Skipped: 3 titles without earnings." in page_with_faults


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": [], "validation_loss": [], "metrics": {}, "layers": [], "facts": {}},
        {"loss": [0.0], "actual": np.zeros(400)},
        {"loss": [1e-4] * 3, "validation_loss": [], "actual": np.full(400, 9.0), "predicted": np.full(400, 9.0)},
        {"actual": np.full(2000, 9.0), "predicted": np.full(2000, 9.0)},
        {"actual": np.array([5.0]), "predicted": np.array([7.0])},
        {"predicted": np.full(400, math.nan)},
        {"predicted": np.full(400, -3e38), "loss": [3e38]},
    ],
)
def test_page_renders_degenerate_data(changes: dict[str, object]) -> None:
    """A page without some data, or with extreme data, still renders."""
    document = render_version_page(make_page(**changes))
    assert Outline(document).open == []
    assert "nan" not in read_text(document).lower()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (format_money(1234.4), "$1,234"),
        (format_money(-1234.6), "−$1,235"),
        (format_money(0.42), "$0.42"),
        (format_money(0.0), "$0"),
        (format_money(None), "—"),
        (format_signed_money(35.0), "+$35"),
        (format_signed_money(-35.0), "−$35"),
        (format_compact_money(-150_000), "−$150k"),
        (format_compact_money(1_200_000), "$1.2M"),
        (format_compact_money(500), "$500"),
        (format_percent(1.04), "1.0%"),
        (format_percent(0.123), "0.12%"),
        (format_scientific(1.234e-5), "1.23e-05"),
        (format_money(4.2, [None, 900.0]), "$4"),
        (format_money(4.2, [9.5]), "$4.20"),
        (format_money(-0.2, [900.0]), "$0"),
        (format_signed_money(0.2, [900.0]), "$0"),
        (format_signed_money(None), "—"),
        (format_percent(34.74, [0.87]), "34.74%"),
        (format_range((-6.38, 190.2), format_signed_money), "−$6 to +$190"),
        (format_range((1.0, None)), "—"),
    ],
)
def test_numbers_are_formatted(written: str, expected: str) -> None:
    """Numbers are written for people."""
    assert written == expected
