"""The results as people read them: one HTML page with plots, and docs/benchmarks.md; both from the JSON alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks import suites
from benchmarks.plots import COLOURS, Artist
from benchmarks.show import Section, Table, skipped_words

Results = dict[str, Any]


def page(results: Results) -> str:
    """Write one self-contained HTML document."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bold"] = _without_marks
    environment.filters["when"] = _when
    template = environment.get_template("page.html.j2")
    return template.render(
        machine=_machine(results),
        sections=list(_sections(results)),
        draw=Artist().draw,
        colours=range(COLOURS),
        left_out=skipped_words,
    )


def markdown(results: Results) -> str:
    """Write the document: the same tables, and the command that makes each again."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks docs` from [benchmarks.json](benchmarks.json), which holds every run.",
        "Figures are medians. In brackets stand the smallest and the largest of all rounds; behind a ratio, which is",
        "taken within each round, the 95 % confidence interval of the true one, so that few rounds make it wide.",
        "`make bench` measures again on your machine, in as many rounds as fit into 10 minutes, and draws plots:",
        "`benchmarks/results/index.html`. `make bench-full` has every contender on every file, in one to two hours.",
        "`python -m benchmarks compare A.json B.json` tells whether two results agree: their intervals overlap.",
        "The command above a section made it then; with `full` for `quick` it has every contender.",
        "",
        f"Machine: {_machine(results)}.",
    ]
    for section, made in _sections(results):
        lines += ["", f"## {section.title}", "", f"    {made['command']}", "", _when(made)]
        lines += [line for words in section.words for line in ("", words)]
        for table in section.tables:
            lines += ["", f"### {table.heading}", "", *_table(table)]
            lines += ["", table.note] if table.note else []
        if section.skipped:
            lines += ["", "Not measured:", "", *(f"- {words}" for words in skipped_words(section.skipped))]
    return "\n".join(lines) + "\n"


def _sections(results: Results) -> Iterator[tuple[Section, dict[str, Any]]]:
    """Let each suite that has a result show it, in the suites' order."""
    for name in suites.NAMES:
        if name in results["suites"]:
            found = results["suites"][name]
            yield suites.load(name).show(found), found["made"]


def _machine(results: Results) -> str:
    told = results["machine"]
    libraries = ", ".join(f"{name} {release}" for name, release in told["libraries"].items())
    return (
        f"{told['processor']}, {told['cores']} cores, {told['memory_gb']} GB, {told['system']}, "
        f"Python {told['python']}, {libraries}"
    )


def _when(made: dict[str, Any]) -> str:
    # Results that were kept before commits were noted have none.
    commit = f" at commit {made['commit']}" if made.get("commit") else ""
    return (
        f"Taken on {made['date']}{commit} in {made['minutes']} minutes; load average {made['load_before']} before and "
        f"{made['load_after']} after."
    )


def _table(table: Table) -> list[str]:
    def row(cells: Any) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    rule = "|---" + "|---:" * (len(table.columns) - 1) + "|"
    return [row(table.columns), rule, *map(row, table.rows)]


def _without_marks(words: str) -> str:
    """Drop Markdown's marks, which the page has no use for."""
    return words.replace("**", "").replace("`", "")
