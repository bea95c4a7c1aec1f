"""What the HTML pages share: table rows and the template engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# A parsed JSON object, such as the ``evaluation`` of a manifest.
Document = Mapping[str, Any]
# A number in large type: the label above it, the number and a note below it.
KeyNumber = tuple[str, str, str]


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        note: in small type below the label.
        bar: the left end and the width of a confidence interval and the place of its estimate on a horizontal line,
            in percent of the line's length.
    """

    label: str
    cells: Sequence[str]
    note: str = ""
    bar: tuple[float, float, float] | None = None
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
