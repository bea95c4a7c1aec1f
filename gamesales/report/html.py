"""HTML without a template engine, for pages that a scoring host makes. It has no training library installed.

The elements are those of ``templates/macros.html.j2``, and the style sheet is the same. Every text is escaped here, and
the functions return markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from gamesales.report.page import KeyNumber, TableRow, keep_together
from gamesales.report.svg import Plot

# A heading of a column: a text, or a text and a note in small type below it.
Heading = str | tuple[str, str]

_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<header>
  <h1>{heading}</h1>
  <p>{subtitle}</p>
</header>
<main>
{main}
</main>
{script}</body>
</html>
"""


def make_document(
    title: str,
    heading: str,
    subtitle: str,
    parts: Iterable[str],
    *,
    style: str = "",
    script: str = "",
    data: Any = None,
) -> str:
    """Make a self-contained page of parts in HTML.

    Args:
        title: the title of the page.
        heading: its heading.
        subtitle: a text beside the heading.
        parts: markup.
        style: a style sheet after the style sheet of all pages.
        script: the script of the page. The page allows no other script.
        data: what the script reads, ready for JSON.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() if script else ""
    return _FRAME.format(
        policy=f"{policy}; script-src 'sha256-{digest}'" if script else policy,
        title=make_text(title),
        style=read_template("style.css.j2") + style,
        heading=make_text(heading),
        subtitle=make_text(subtitle),
        main="\n".join(part for part in parts if part),
        script=f"{_make_data(data)}<script>{script}</script>\n" if script else "",
    )


def read_template(name: str) -> str:
    """Read a file of the folder of templates."""
    return files("gamesales.report").joinpath("templates", name).read_text(encoding="utf-8")


def _make_data(data: Any) -> str:
    """Make an element with JSON. No text of the data can end the element, or begin a comment in it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="data">{text}</script>\n'


def make_text(text: str) -> str:
    """Escape a text, and keep signs and version numbers together with what they belong to."""
    return escape(str(keep_together(text)))


def make_headline(text: str, *, is_alarming: bool) -> str:
    """Make the most important sentence of a page."""
    return f'<p class="headline{" worse" if is_alarming else ""}">{make_text(text)}</p>'


def make_section(anchor: str, heading: tuple[str, str], parts: Iterable[str]) -> str:
    """Make a section: a question, its subject in standard terms, and its parts. Empty without parts."""
    content = "\n".join(part for part in parts if part)
    if not content:
        return ""
    question, subject = map(make_text, heading)
    note = f" <small>{subject}</small>" if subject else ""
    return (
        f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}"><a href="#{anchor}">{question}</a>{note}</h2>\n'
        f"{content}\n</section>"
    )


def make_contents(sections: Mapping[str, str]) -> str:
    """Make the links to sections: anchor -> question."""
    items = "\n".join(f'  <li><a href="#{anchor}">{make_text(text)}</a></li>' for anchor, text in sections.items())
    return f'<nav class="contents" aria-label="Contents">\n<ul>\n{items}\n</ul>\n</nav>'


def make_note(text: str) -> str:
    """Make a paragraph in small type; empty without a text."""
    return f'<p class="note">{make_text(text)}</p>' if text else ""


def make_sentences(sentences: Sequence[str]) -> str:
    """Make a list of sentences; empty without sentences."""
    items = "\n".join(f"  <li>{make_text(sentence)}</li>" for sentence in sentences)
    return f'<ul class="sentences">\n{items}\n</ul>' if sentences else ""


def make_warnings(heading: str, sentences: Sequence[str]) -> str:
    """Make the warnings of a page; empty without warnings."""
    if not sentences:
        return ""
    items = "\n".join(f"    <li>{make_text(sentence)}</li>" for sentence in sentences)
    return (
        f'<aside class="warnings" aria-labelledby="warnings">\n  <h2 id="warnings">{make_text(heading)}</h2>\n'
        f"  <ul>\n{items}\n  </ul>\n</aside>"
    )


def make_key_numbers(key_numbers: Sequence[KeyNumber]) -> str:
    """Make cards of numbers in large type."""
    items = "\n".join(
        f"  <div><dt>{make_text(label)}</dt><dd>{make_text(value)}</dd><dd>{make_text(note)}</dd></div>"
        for label, value, note in key_numbers
    )
    return f'<dl class="key-numbers card">\n{items}\n</dl>'


def make_facts(facts: Mapping[str, str], *, is_code: bool = False) -> str:
    """Make a list of labels with their values, which are commands if ``is_code``; empty without facts."""
    if not facts:
        return ""
    start, end = ("<code>", "</code>") if is_code else ("", "")
    write = escape if is_code else make_text
    items = "\n".join(
        f"  <div><dt>{make_text(label)}</dt><dd>{start}{write(value)}{end}</dd></div>" for label, value in facts.items()
    )
    return f'<dl class="facts card">\n{items}\n</dl>'


def make_table(label: str, headings: Sequence[Heading], rows: Sequence[TableRow], kind: str = "plain") -> str:
    """Make a table in a card that scrolls sideways; empty without rows."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{make_heading(heading)}</th>' for heading in headings)
    body = "\n".join(_make_row(row) for row in rows)
    name = make_text(label)
    return (
        f'<div class="card scroll" role="region" aria-label="{name}, table" tabindex="0">\n<table class="{kind}">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def make_details(summary: str, content: str) -> str:
    """Make content that is hidden until a reader opens it."""
    return f"<details>\n<summary>{make_text(summary)}</summary>\n{content}\n</details>\n"


def make_plots(plots: Sequence[Plot], *, is_uneven: bool = False) -> str:
    """Make a grid of plots; empty without plots. Plots that are ``is_uneven`` have different heights."""
    kind = "plots uneven" if is_uneven else "plots"
    return f'<div class="{kind}">\n{"".join(map(_make_figure, plots))}</div>' if plots else ""


def make_heading(heading: Heading) -> str:
    """Make the heading of a column."""
    if isinstance(heading, str):
        return make_text(heading)
    text, note = map(make_text, heading)
    return f"{text}<small>{note}</small>"


def _make_row(row: TableRow) -> str:
    note = f"<small>{make_text(row.note)}</small>" if row.note else ""
    cells = "".join(f"<td>{make_text(cell)}</td>" for cell in row.cells)
    marked = ' class="marked"' if row.is_marked else ""
    return f'<tr{marked}><th scope="row">{make_text(row.label)}{note}</th>{cells}</tr>'


def _make_figure(plot: Plot) -> str:
    heading, caption = make_text(plot.heading), make_text(plot.caption)
    return (
        f'<figure class="card">\n  <figcaption><h3>{heading}</h3><p>{caption}</p></figcaption>\n'
        f'  <div role="img" aria-label="{heading}. {caption}">\n{plot.svg}\n  </div>\n{plot.details}</figure>\n'
    )
