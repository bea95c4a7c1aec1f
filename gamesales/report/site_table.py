"""Tables of a site, which its script can sort, filter and search. Without the script, they are plain tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from gamesales.report.html import Heading, make_heading, make_text


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        note: in small type below the text.
        link: where the text leads.
        order: what the column is sorted by, if not the text. A cell without a value has the text of MISSING.
        is_alarming: whether a person should look at it.
        is_text: whether the cell has sentences or names, which may have several lines.
    """

    text: str
    note: str = ""
    link: str = ""
    order: float | str | None = None
    is_alarming: bool = False
    is_text: bool = False


@dataclass(frozen=True)
class SiteRow:
    """A row of a table.

    Attributes:
        cells: the first cell is the heading of the row.
        states: by which the filter shows the row.
        action: where the last cell leads, which needs the script; empty without a link, None without a cell.
    """

    cells: Sequence[Cell]
    states: Sequence[str] = ()
    action: str | None = None


@dataclass(frozen=True)
class Filter:
    """The choices of the filter of a table: state -> text. All rows are shown at first."""

    label: str
    choices: dict[str, str]


def make_site_table(
    label: str, noun: str, headings: Sequence[Heading], rows: Sequence[SiteRow], row_filter: Filter | None = None
) -> str:
    """Make a table with its controls, which are hidden until the script shows them. Empty without rows.

    Args:
        label: what the table shows, for screen readers.
        noun: what a row is, such as ``version``.
        headings: of the columns.
        rows: its rows.
        row_filter: the choices of the filter. Choices that no row has are left out.
    """
    if not rows:
        return ""
    is_text = [cell.is_text for cell in rows[0].cells]
    head = "".join(
        f'<th scope="col"{" class=text" if text else ""}>{make_heading(heading)}</th>'
        for heading, text in zip(headings, is_text, strict=True)
    )
    if any(row.action for row in rows):
        head += '<th scope="col" class="scripted">Compare<small>with the champion</small></th>'
    body = "\n".join(map(_make_row, rows))
    name = make_text(label)
    return (
        f'<div class="data-table" data-noun="{escape(noun)}">\n{_make_controls(name, rows, row_filter)}'
        f'<div class="card scroll tall" role="region" aria-label="{name}, table" tabindex="0">\n'
        f'<table class="plain">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n</div>'
    )


def _make_controls(name: str, rows: Sequence[SiteRow], row_filter: Filter | None) -> str:
    select = ""
    if row_filter:
        present = {state for row in rows for state in row.states}
        options = "".join(
            f'<option value="{escape(state)}">{make_text(text)}</option>'
            for state, text in row_filter.choices.items()
            if state in present
        )
        select = (
            f"<label>{make_text(row_filter.label)} "
            f'<select autocomplete="off"><option value="">all</option>{options}</select></label>\n'
        )
    return (
        f'<div class="controls" role="search" aria-label="{name}" hidden>\n'
        f'<label>Search <input type="search" autocomplete="off"></label>\n{select}<p role="status"></p>\n</div>\n'
    )


def _make_row(row: SiteRow) -> str:
    states = f' data-state="{escape(" ".join(row.states))}"' if row.states else ""
    first, *others = row.cells
    heading, cells = _make_cell("th", first, ' scope="row"'), "".join(_make_cell("td", cell) for cell in others)
    link = f'<a href="{escape(row.action)}">compare</a>' if row.action else ""
    action = "" if row.action is None else f'<td class="scripted">{link}</td>'
    return f"<tr{states}>{heading}{cells}{action}</tr>"


def _make_cell(tag: str, cell: Cell, scope: str = "") -> str:
    text = make_text(cell.text)
    if cell.link:
        text = f'<a href="{escape(cell.link)}">{text}</a>'
    note = f"<small>{make_text(cell.note)}</small>" if cell.note else ""
    order = "" if cell.order is None else f' data-order="{escape(str(cell.order))}"'
    kinds = " ".join(kind for kind, has in (("alarm", cell.is_alarming), ("text", cell.is_text)) if has)
    kind = f' class="{kinds}"' if kinds else ""
    return f"<{tag}{scope}{order}{kind}>{text}{note}</{tag}>"
