"""The pages of a site as data: their bytes, their JSON, and texts that can't become markup."""

import json
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gamesales.report.html import make_document
from gamesales.report.site_data import AliasChange, Site, SiteBacktest, SiteEvaluation, SiteModel, SiteRun, SiteVersion
from gamesales.report.site_page import render_index, render_model
from support.pages import HOSTILE, Outline, make_metrics, read_text

EVALUATION = SiteEvaluation("test.csv", 400, make_metrics(1000.0), {"mae": [900.0, 1100.0]})
VERSION = SiteVersion(1, [], "2026-11-24T02:00:00.000000Z", "owner", "", "", "0" * 64, "", {"1" * 64: EVALUATION}, {})


def make_model(**changes):
    versions = [replace(VERSION, number=2, aliases=["champion"]), VERSION]
    return SiteModel("game-earnings", 4, VERSION.registered, "test.csv", "1" * 64, versions, **changes)


def read_data(document):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', document, re.DOTALL)[1])


@given(
    st.recursive(
        st.text() | st.booleans() | st.integers(), lambda part: st.lists(part) | st.dictionaries(st.text(), part)
    )
)
def test_data_of_a_page(data):
    """Data of any text are read as they were written, and can't end their element."""
    document = make_document("a", "b", "c", [], script="1;", data=data)
    assert data == read_data(document)
    assert 2 == document.count("</script>")


def test_policy_allows_only_the_script():
    """The policy has the digest of the script. A page without a script allows none."""
    assert "script-src 'sha256-" in make_document("a", "b", "c", [], script="1;")
    assert "script-src" not in make_document("a", "b", "c", [])


def test_texts_are_no_markup():
    """Names, actors, reasons, notes and settings can't add a tag to a page."""
    version = replace(
        VERSION, aliases=[HOSTILE], actor=HOSTILE, reason=HOSTILE, note=HOSTILE, settings={HOSTILE: {HOSTILE: HOSTILE}}
    )
    change = AliasChange(HOSTILE, VERSION.registered, "", 1, None, HOSTILE, HOSTILE, evidence=HOSTILE)
    run = SiteRun(
        HOSTILE, "2026-11-24", "withheld", HOSTILE, drifted=[HOSTILE], strongest=(HOSTILE, 1.0, 0.5), version=1
    )
    backtest = SiteBacktest(
        1, VERSION.registered, HOSTILE, "2026-11-24", "2026-11-25", 1, make_metrics(1.0), 0.0, 0.9, ()
    )
    model = make_model(
        changes=[change], runs=[run], backtests=[backtest], commands={HOSTILE: HOSTILE}, warnings=[HOSTILE]
    )
    model = replace(model, data=HOSTILE, versions=[version, *model.versions])
    for document in (render_model(model), render_index(Site(HOSTILE, [model], [HOSTILE]))):
        tags = [tag for tag, _ in Outline(document).tags]
        assert "img" not in tags
        assert tags.count("script") <= 2
        assert HOSTILE in read_text(document)


def test_same_content_same_bytes():
    """A page has no time of its own."""
    assert render_model(make_model()) == render_model(make_model())


def test_equal_settings_are_written_once():
    """Versions with the same settings share them in the data."""
    settings = {"network": {"layers.0.units": "24"}, "training": {"seed": "1"}}
    other = {**settings, "training": {"seed": "2"}}
    versions = [replace(VERSION, number=2, settings=settings), replace(VERSION, settings=other)]
    data = read_data(render_model(replace(make_model(), versions=versions)))
    assert [{"layers.0.units": "24"}, {"seed": "1"}, {"seed": "2"}] == data["sections"]
    assert [{"network": 0, "training": 1}, {"network": 0, "training": 2}] == [
        version["settings"] for version in data["versions"]
    ]
    assert [{"data": "test.csv", "rows": 400}] == data["files"]


def test_model_without_anything():
    """A model without versions has a page about its runs, and runs without numbers have no plot."""
    document = render_model(SiteModel("a", runs=[SiteRun("out", "2026-11-24", "incomplete", "no report")]))
    text = read_text(document)
    assert "a has runs, but no versions here." in text
    assert "no report" in text
    assert "<figure" not in document
