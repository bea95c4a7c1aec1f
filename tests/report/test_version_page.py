"""The page that a person looks at before promoting: what it says, and that it stays one small, safe file."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest

from gamesales.report.format import compact_money, money, percent, scientific, signed_money, verdict
from gamesales.report.version_page import render_version_page
from support.pages import HOSTILE, Outline, figures, make_page, read
from support.versions import ROOT


@pytest.fixture(scope="module")
def document() -> str:
    return render_version_page(make_page())


# -- the file ----------------------------------------------------------------------------------------


def test_same_version_gives_the_same_bytes(document: str) -> None:
    """Nothing in the page depends on the moment or on chance."""
    assert document == render_version_page(make_page())


def test_another_process_gives_the_same_bytes(document: str) -> None:
    """Nor on the process: hash seeds differ between them."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from gamesales.report.version_page import render_version_page\nfrom support.pages import make_page\n"
        "sys.stdout.buffer.write(render_version_page(make_page()).encode())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert document == other.stdout.decode()


def test_users_matplotlib_style_changes_nothing(document: str) -> None:
    """A matplotlibrc or a style in force neither shows in the page nor is lost by it."""
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path"}):
        assert document == render_version_page(make_page())
        assert mpl.rcParams["font.size"] == 30


def test_page_needs_nothing_from_elsewhere(document: str) -> None:
    """No script, no address, no import: it opens from a bundle on a machine without a network."""
    tags = Outline(document).tags
    assert "://" not in document
    assert "@import" not in document
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", document))
    assert not {"script", "img", "iframe", "object"} & {tag for tag, _ in tags}
    assert {"data:,"} == {of["href"] for tag, of in tags if tag == "link"}


def test_page_is_well_formed(document: str) -> None:
    """Every tag is closed, no id is doubled and every reference inside the page has its target."""
    outline = Outline(document)
    ids = [of["id"] for _, of in outline.tags if "id" in of]
    labels = [of["aria-labelledby"] for _, of in outline.tags if "aria-labelledby" in of]
    assert outline.open == []
    assert len(ids) == len(set(ids))
    assert {*re.findall(r'(?:url\(|href=")#([\w-]+)', document), *labels} <= set(ids)


def test_page_tells_its_plots_to_those_who_cannot_see_them(document: str) -> None:
    """Each plot is an image with a label, and each header of the table has a scope."""
    tags = Outline(document).tags
    images = [of["aria-label"] or "" for _, of in tags if of.get("role") == "img"]
    assert [label.split(".")[0] for label in images] == [
        "Predicted against actual",
        "Error by size",
        "Error in dollars",
        "Error in percent",
        "Loss by epoch",
    ]
    assert {"col", "row"} == {of.get("scope") for tag, of in tags if tag == "th"}


def test_plots_take_the_colours_of_the_page(document: str) -> None:
    """No colour is fixed inside a plot, so that it is legible in light, in dark and on paper."""
    for svg in re.findall(r"<svg.*?</svg>", document, re.DOTALL):
        assert "var(--ink)" in svg or "var(--accent)" in svg
        assert re.findall(r"#[0-9a-f]{6}\b(?!\))", re.sub(r'(href="|url\()#\w+', "", svg)) == []


@pytest.mark.parametrize("titles", [1_501, 200_000])
def test_page_stays_small_however_many_titles_were_held_back(titles: int) -> None:
    assert len(render_version_page(make_page(titles)).encode()) < 200_000


def test_hostile_names_are_shown_as_text() -> None:
    """A file or a column may be called anything; the page shows it and runs nothing."""
    metrics = {"this version": figures(10.0), HOSTILE: figures(20.0)}
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
    assert read(document).count(HOSTILE) >= 7


def test_package_is_light_to_import() -> None:
    """Heavy imports come with the page, not with the package."""
    program = "import sys, gamesales.report; print({'matplotlib', 'jinja2'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"


# -- the verdict -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mae", "rival", "expected"),
    [
        (1020.0, 7548.0, "is off by $1,020 on average (1.0 %): 7.4 times closer than trees."),
        (1020.0, 15_000.0, "is off by $1,020 on average (1.0 %): 15 times closer than trees."),
        (1020.0, 1200.0, "is off by $1,020 on average (1.0 %): 15 % closer than trees."),
        (
            995.0,
            999.0,
            "is off by $995 on average (1.0 %): hardly better than trees, which is off by $999.",
        ),
        (1020.0, 980.0, "is off by $1,020 on average (1.0 %): not better than trees, which is off by $980."),
        (980.0, 980.0, "is off by $980 on average (1.0 %): not better than trees, which is off by $980."),
        (0.0, 980.0, "is off by $0 on average (1.0 %): 100 % closer than trees."),
        (1020.0, math.nan, "is off by $1,020 on average (1.0 %); there is no baseline to compare it with."),
        (math.nan, 980.0, "gives no usable answer: its average error is not a number."),
        (None, 980.0, "gives no usable answer: its average error is not a number."),
    ],
)
def test_verdict_says_how_far_off_and_whether_that_is_better(mae: float | None, rival: float, expected: str) -> None:
    """A small lead is not flattered, and a loss is not hidden."""
    judged = verdict(400, {"this version": figures(mae), "trees": figures(rival)})
    seen, _, judgement = judged.sentence.replace("\u00a0", " ").partition(" this version ")
    assert seen == "On 400 titles that it never saw,"
    assert judgement == expected


def test_verdict_compares_with_the_best_baseline() -> None:
    metrics = {"this version": figures(100.0), "mean": figures(900.0), "linear regression": figures(50.0)}
    judged = verdict(1, metrics)
    assert judged.better is False
    assert judged.sentence.startswith("On 1 title that it never saw")
    assert judged.sentence.endswith("not better than linear regression, which is off by $50.")


def test_verdict_leaves_out_a_percentage_that_is_not_finite() -> None:
    """One title that earned nothing makes MAPE infinite."""
    metrics = {"this version": figures(100.0, mape_percent=math.inf), "mean": figures(900.0)}
    assert "is off by $100 on average: 9.0" in verdict(400, metrics).sentence


def test_verdict_without_a_holdout_promises_nothing() -> None:
    text = read(render_version_page(make_page(titles=0)))
    assert "No title was held back, so nobody knows how good this version is." in text


def test_page_opens_with_the_verdict(document: str) -> None:
    text = read(document)
    assert text.startswith("game-earnings trained 24 November 2026, 02:00 UTC On 400 titles that it never saw,")
    assert "7.4 times closer than gradient boosting." in text


# -- figures and warnings ----------------------------------------------------------------------------


def test_best_figure_of_each_column_is_bold(document: str) -> None:
    """Bold marks the least error and the highest R²; equal figures are bold together."""
    bold = re.findall(r"<strong>(.*?)</strong>", document)
    assert bold[1:] == ["$1,500", "1.0\u00a0%", "0.9987", "1.23e-05", "$1,500"]


def test_figures_that_are_not_finite_are_dashes() -> None:
    nothing = dict.fromkeys(figures(0.0), math.nan) | {"r2": None, "rmse": -math.inf}
    document = render_version_page(make_page(metrics={"this version": nothing}))
    assert document.count("<td>—</td>") == 5
    assert "nan" not in read(document).lower()


def test_warnings_come_before_all_figures() -> None:
    text = read(render_version_page(make_page(warnings=["The holdout shares 12 titles with it."])))
    assert text.index("The holdout shares 12 titles with it.") < text.index("Off on average")


def test_page_without_warnings_has_no_place_for_them(document: str) -> None:
    assert "Read this before you promote" not in read(document)


def test_page_warns_by_itself_of_predictions_that_are_not_numbers() -> None:
    page = make_page()
    page.predicted[:2] = [math.nan, math.inf]
    assert "2 titles of 400 without a finite prediction or truth" in read(render_version_page(page))


def test_page_warns_by_itself_of_a_training_that_diverged() -> None:
    text = read(render_version_page(make_page(loss=[1.0, math.inf, math.nan], validation_loss=[])))
    assert "The loss became infinite or not a number during training." in text
    assert "After 3 epochs: not a number." in text


def test_page_warns_by_itself_of_metrics_that_belong_to_other_predictions() -> None:
    text = read(render_version_page(make_page(metrics={"this version": figures(1.0)})))
    assert "The average error is given as $1.00, but that of the predictions on this page is" in text


def test_predictions_must_match_titles() -> None:
    with pytest.raises(ValueError, match=r"one prediction for each title\. Received: \(3,\) for \(400,\)"):
        make_page(predicted=np.zeros(3))


def test_titles_that_earned_nothing_have_no_error_in_percent() -> None:
    page = make_page()
    page.actual[:3] = 0
    assert "3 titles that earned nothing left out." in read(render_version_page(page))


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": [], "validation_loss": []},
        {"loss": [0.0]},
        {"loss": [1e-4] * 3, "validation_loss": []},
        {"metrics": {}, "layers": [], "facts": {}},
        {"actual": np.zeros(400)},
        {"actual": np.full(400, 9.0), "predicted": np.full(400, 9.0)},
        {"actual": np.full(2000, 9.0), "predicted": np.full(2000, 9.0)},
        {"actual": np.array([5.0]), "predicted": np.array([7.0])},
        {"predicted": np.full(400, math.nan)},
        {"predicted": np.full(400, -3e38), "loss": [3e38]},
    ],
)
def test_page_is_made_of_what_there_is(changes: dict[str, object]) -> None:
    """The moment when training went wrong is when the page is needed most."""
    document = render_version_page(make_page(**changes))
    assert Outline(document).open == []
    assert "nan" not in read(document).lower()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (money(1234.4), "$1,234"),
        (money(-1234.6), "−$1,235"),
        (money(0.42), "$0.42"),
        (money(0.0), "$0"),
        (money(None), "—"),
        (signed_money(35.0), "+$35"),
        (signed_money(-35.0), "−$35"),
        (compact_money(-150_000), "−$150k"),
        (compact_money(1_200_000), "$1.2M"),
        (compact_money(500), "$500"),
        (percent(1.04), "1.0\u00a0%"),
        (percent(0.123), "0.12\u00a0%"),
        (scientific(1.234e-5), "1.23e-05"),
    ],
)
def test_figures_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected
