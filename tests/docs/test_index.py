"""The index of the guides leads to each guide, and each page has lines that fit a screen."""

import re

import pytest

from support.doc_blocks import PAGES, ROOT

INDEX = ROOT / "docs/README.md"


def test_index_has_each_guide():
    """docs/README.md links each guide, and the README links the index."""
    linked = set(re.findall(r"\(guides/([\w-]+\.md)\)", INDEX.read_text(encoding="utf-8")))
    assert {page.name for page in PAGES if page.parent.name == "guides"} == linked
    assert "](docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda page: page.name)
def test_lines_fit(page):
    """No line of prose has more than 100 characters."""
    text = re.sub(r"(?ms)^```.*?^```$|^<!--.*?-->$", "", page.read_text(encoding="utf-8"))
    assert [] == [line for line in text.splitlines() if len(line) > 100 and not line.startswith("|")]
