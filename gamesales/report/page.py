"""What the HTML pages share: table rows and the template engine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamesales.report.strips import Strip
from gamesales.stats.amounts import name_amounts

# A parsed JSON object, such as the ``evaluation`` of a manifest.
Document = Mapping[str, Any]
# A number in large type: the label above it, the number and a note below it.
KeyNumber = tuple[str, str, str]
# Invisible. Lines do not break here.
_WORD_JOINER = "\u2060"


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes:
        note: in small type below the label.
        strip: an estimate and its confidence interval, drawn beside the label.
    """

    label: str
    cells: Sequence[str]
    note: str = ""
    strip: Strip | None = None
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
        finalize=keep_together,
    )
    environment.globals["unit_of_errors"] = name_amounts()
    return environment.get_template(name).render(**values)


def keep_together(value: Any) -> Any:
    """Keep lines from ending between a sign and its amount, and between "version" and its number."""
    if type(value) is not str:  # markup, such as a plot, is left alone
        return value
    if "$" in value:
        value = re.sub(r"(?<=[−+])(?=\$)", _WORD_JOINER, value)
    if "ersion " not in value:
        return value
    return re.sub(r"(?<=[Vv]ersion) (?=\d)", "\u00a0", value)
