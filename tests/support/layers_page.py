"""The page of supported Keras objects, read by table."""

import re

from support.versions import ROOT

PAGE = (ROOT / "docs/reference/layers.md").read_text(encoding="utf-8")


def part(title):
    """The text under a heading, up to the next of its rank."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]


def rows(text):
    """The cells of a table's rows, without its two first lines."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    below = [place for place, row in enumerate(cells) if set("".join(row)) == {"-"}]
    return [row for place, row in enumerate(cells) if place not in below and place + 1 not in below]
