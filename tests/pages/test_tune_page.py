"""The page of a search in a browser: on a phone and on a desktop."""

import pytest

from gamesales.report.tune_page import render_tune_page
from support.browser import DESKTOP, PHONE, find_faults, visit
from support.tune_pages import make_tune_page


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "tune.html"
    path.write_text(render_tune_page(**make_tune_page()), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (DESKTOP, "dark")])
def test_page_has_no_barriers(chromium, path, width, scheme):
    """axe-core finds nothing that keeps people out, no sign is torn from its number, and nothing is cut unseen."""
    with visit(chromium, path, width=width, scheme=scheme) as page:
        assert find_faults(page) == []
