"""Results as HTML for notebooks. Only a notebook loads this module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

MISSING = "-"
# Numbers, amounts, shares and dates without words. Such cells are aligned right.
_NUMBER = re.compile(r"[-−+$]*[\d.,]+(e[-+]?\d+)?%?|-")


def make_table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Make a table with a caption. All texts are escaped.

    Args:
        caption: A sentence above the table.
        headings: The headings of the columns.
        rows: The cells of each row. None is a dash, and a list is its items.
    """
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "\n".join(f"<tr>{''.join(map(_make_cell, row))}</tr>" for row in rows)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>" if body else ""
    return f"<p>{escape(caption)}</p>\n{table}".rstrip()


def make_facts(caption: str, facts: Mapping[str, object]) -> str:
    """Make a table of labels with their values."""
    rows = "\n".join(f"<tr><th>{escape(label)}</th>{_make_cell(value)}</tr>" for label, value in facts.items())
    return f"<p>{escape(caption)}</p>\n<table>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _make_cell(value: object) -> str:
    text = _format(value)
    side = "right" if _NUMBER.fullmatch(text) else "left"
    return f'<td style="text-align: {side}">{escape(text)}</td>'


def _format(value: object) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_format, value)) or MISSING
    return str(value)
