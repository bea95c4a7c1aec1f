"""The likely cause of missing columns, and the keys of the job file that help. Nothing is renamed without them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_DELIMITERS = {
    ";": "semicolons",
    "\t": "tabs",
    "|": "vertical bars",
    ",": "commas",
    "\x01": "Hive's control characters",
}
_MAX_RENAMES = 20


class Cause(NamedTuple):
    """Why columns are missing, in words, and what to write in the job file."""

    words: str
    job_keys: str


class _Match(NamedTuple):
    """A column of a file that may be a missing column, and how their names differ."""

    missing: str
    name: str
    difference: str


def find_cause(names: Sequence[str], missing: Sequence[str]) -> Cause | None:
    """Return the likely cause of missing columns.

    Args:
        names: the columns of the file.
        missing: the missing columns.
    """
    for delimiter, words in _DELIMITERS.items():
        cells = {_simplify(cell) for name in names if delimiter in name for cell in name.split(delimiter)}
        if any(_simplify(name) in cells for name in missing):
            return Cause(f"its header looks separated by {words}", f"[csv] delimiter = {json.dumps(delimiter)}")
    matches = list(_match_names(names, missing))
    if not matches:
        return None
    pairs = {
        match.difference: [other for other in matches if other.difference == match.difference] for match in matches
    }
    words = "; ".join(f"{difference}: {_list_pairs(same)}" for difference, same in pairs.items())
    renames = ", ".join(f"{_toml_key(match.missing)} = {json.dumps(match.name)}" for match in matches[:_MAX_RENAMES])
    if len(matches) == 1:
        return Cause(words, f"[columns] {renames}")
    return Cause(words, f"columns = {{ {renames}{', …' if len(matches) > _MAX_RENAMES else ''} }}")


def _match_names(names: Sequence[str], missing: Sequence[str]) -> Iterator[_Match]:
    """Find for each missing column a column of the file that nothing else needs."""
    from difflib import get_close_matches

    free = {name: _simplify(name) for name in names if name not in missing}
    for expected in missing:
        same = [name for name, simple in free.items() if simple == _simplify(expected)]
        similar = get_close_matches(expected.lower(), [name.lower() for name in free], 1, 0.8)
        close = [name for name in free if name.lower() in similar]
        if len(same) == 1:
            yield _Match(expected, same[0], _describe_difference(expected, same[0]))
            del free[same[0]]
        elif not same and len(close) == 1:
            yield _Match(expected, close[0], "did you mean")
            del free[close[0]]


def _describe_difference(expected: str, name: str) -> str:
    if name.strip() == expected:
        return "has blanks around the name"
    if name.strip().lower() == expected.lower():
        return "differs only in case" if name.strip() == name else "differs in case and blanks"
    return "did you mean"


def _list_pairs(matches: Sequence[_Match]) -> str:
    shown = ", ".join(f"{match.name!r} for {match.missing}" for match in matches[:3])
    return shown + (f" and {len(matches) - 3} more" if len(matches) > 3 else "")


def _simplify(name: str) -> str:
    """Reduce a name to its letters and digits."""
    return re.sub(r"[\W_]", "", name).lower()


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
