"""What the HTML pages share: table rows, key numbers and the template engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# A parsed JSON object, such as the ``evaluation`` of a manifest.
Document = Mapping[str, Any]


@dataclass(frozen=True)
class KeyNumber:
    """A number in large type, with its label above and a note below."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class IntervalBar:
    """A confidence interval and its estimate on a horizontal line, in percent of the line's length."""

    left: float
    width: float
    dot: float


@dataclass(frozen=True)
class TableRow:
    """A row of a table: its label, a note in small type below the label, and its cells as text."""

    label: str
    cells: Sequence[str]
    note: str = ""
    bar: IntervalBar | None = None
    is_marked: bool = False


def render_template(name: str, **values: Any) -> str:
    """Render a template of this package; the same values give the same bytes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gamesales.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values)
