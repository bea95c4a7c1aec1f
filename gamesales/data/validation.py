"""Say in plain words what is wrong with a job file, a contract or an option: what was expected, what was found, where.

It loads only after a check has failed.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamesales.errors import JobFileError, suggest

if TYPE_CHECKING:
    from pydantic import ValidationError

Location = Sequence[str | int]
# Pydantic's types of faults, and what was expected. Braces hold values of the fault.
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "list_type": "a list",
    "literal_error": "{expected}",
    "mapping_type": "a table",
    "model_type": "a table",
    "path_type": "a path",
    "string_too_short": "a text that is not empty",
    "string_type": "a text in quotes",
    "too_long": "at most {max_length} entries",
    "too_short": "at least one entry",
    "tuple_type": "a list",
}
# An unknown key has one type in a model and another in a dataclass.
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
_MOST_RECEIVED = 60


def explain_faults(error: ValidationError, schema: type, path: Path | None = None) -> str:
    """Explain a validation error by key: ``training.epochs: expected a whole number, received "ten" (line 21)``.

    Args:
        error: The error.
        schema: The type that a value was checked against. Its keys are guesses for unknown keys.
        path: The TOML file of the value, for the numbers of lines.
    """
    text = "" if path is None else path.read_text(encoding="utf-8-sig")
    document: dict[str, Any] = {}
    parts = []
    for fault in error.errors(include_url=False):
        place = ".".join(map(str, fault["loc"])) or "the file"
        line = find_line(text, fault["loc"])
        if fault["type"] in _UNKNOWN_KEY:
            document = document or _describe_schema(schema)
            explanation = f"unknown key{_guess_key(document, fault['loc'])}"
        else:
            explanation = explain_fault(fault)
        parts.append(f"{place}: {explanation}{f' (line {line})' if line else ''}")
    return "; ".join(parts)


def _guess_key(document: dict[str, Any], location: Location) -> str:
    """Guess what is meant by an unknown key: a similar key of its table, or the same key above all tables."""
    *table, key = location
    if table and key in list(_find_keys(document, document, ())):
        return f" of the table {table[0]}; move it above the first table"
    return suggest(str(key), _find_keys(document, document, table))


def explain_fault(fault: Mapping[str, Any]) -> str:
    """Explain a fault of Pydantic: ``expected a whole number, received "ten"``."""
    if fault["type"] == "missing":
        return "missing"
    context, received = fault.get("ctx", {}), _format_received(fault["input"])
    if expected := _EXPECTED.get(fault["type"]):
        guess = suggest(str(fault["input"]), re.findall(r"'(.*?)'", context.get("expected", "")))
        return f"expected {expected.format(**context)}{received}{guess}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return message if "received" in message else f"{message}{received}"


def _format_received(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f", received {text}" if len(text) <= _MOST_RECEIVED else ""


def _describe_schema(schema: type) -> dict[str, Any]:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        return TypeAdapter(schema).json_schema()
    except PydanticInvalidForJsonSchema:
        return {}


def _find_keys(document: dict[str, Any], node: dict[str, Any], location: Location) -> Iterator[str]:
    """Yield the keys of the table at a location, from the JSON schema of the document."""
    if "$ref" in node:
        yield from _find_keys(document, document["$defs"][node["$ref"].rpartition("/")[2]], location)
    for option in node.get("anyOf", ()):
        yield from _find_keys(document, option, location)
    if not location:
        yield from node.get("properties", ())
    elif location[0] in node.get("properties", ()):
        yield from _find_keys(document, node["properties"][location[0]], location[1:])
    elif isinstance(location[0], int) and isinstance(node.get("items"), dict):
        yield from _find_keys(document, node["items"], location[1:])


def find_line(text: str, location: Location) -> int | None:
    """Find the line of a key in a TOML file, or else the line of the table that it belongs to.

    Args:
        text: The content of the file.
        location: The names of tables and the key. A number counts the tables of a list.

    Returns:
        The number of the line, from 1. None if neither the key nor its table has a line of its own.
    """
    best, best_line = 0, None
    table: tuple[str | int, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[(.+?)\]\]", line):
            name = _split_key(header[1])
            counts[name] = counts.get(name, -1) + 1
            current = table = (*name, counts[name])
        elif header := re.match(r"\s*\[(.+?)\]", line):
            current = table = _split_key(header[1])
        elif key := re.match(r"""\s*([\w."'-]+)\s*=""", line):
            current = (*table, *_split_key(key[1]))
        else:
            continue
        if len(current) > best and tuple(location[: len(current)]) == current:
            best, best_line = len(current), number
    return best_line


def _split_key(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


def explain_syntax(path: Path, text: str, error: tomllib.TOMLDecodeError) -> JobFileError:
    """Return the error for a file that is not TOML: the line, and how to repair frequent mistakes."""
    match = re.search(r"^(.*?) \(at line (\d+), column (\d+)\)$", str(error))
    if not match:  # at the end of the file
        return JobFileError(
            f"{path} can't be read as TOML: {_soften(str(error))}", hint="Is a quote or a bracket open?"
        )
    reason, number, column = match[1], int(match[2]), int(match[3])
    line = text.splitlines()[number - 1].strip()
    return JobFileError(
        f"{path}, line {number}, can't be read as TOML: {_soften(reason)} at column {column}, in {line!r}",
        hint="A key or a table may appear once" if "overwrite" in reason or "twice" in reason else _guess_repair(line),
    )


def _soften(reason: str) -> str:
    return f"{reason[:1].lower()}{reason[1:]}"


def _guess_repair(line: str) -> str:
    key, equals, value = (part.strip() for part in line.partition("="))
    if not equals and ":" in line:
        key, _, value = (part.strip() for part in line.partition(":"))
        return f"A key and its value have an equals sign between them: {key} = {value}"
    if value in ("True", "False"):
        return f"Write it in lower case: {key} = {value.lower()}"
    if re.fullmatch(r"[^\W\d][\w./@-]*", value):
        return f'A text has quotes: {key} = "{value}"'
    return "A line is [table] or key = value; a text has quotes, and a list has brackets"
