"""Write docs/reference/ from the code: the commands with their options, the schemas of --json, and the Python names.

    make docs

A test compares the files with what this script would write, so they can't fall behind.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from pathlib import Path

import typer
from pydantic import TypeAdapter

import gamesales
from gamesales.cli.app import make_app
from gamesales.jobs.backtest import BacktestResult
from gamesales.jobs.check_contract import ContractCheck
from gamesales.jobs.compare import VersionComparison
from gamesales.jobs.copy import CopyResult
from gamesales.jobs.crossvalidate import CrossValidationResult
from gamesales.jobs.evaluate import EvaluationResult
from gamesales.jobs.export import ExportResult
from gamesales.jobs.history import EventList, VersionDetails
from gamesales.jobs.init import InitResult
from gamesales.jobs.predict import Prediction
from gamesales.jobs.prepare import PreprocessingResult, SimulationResult
from gamesales.jobs.promote import AliasDeletion, AliasList, Promotion
from gamesales.jobs.retention import CollectionResult, RetirementResult
from gamesales.jobs.run_page import RunPageResult
from gamesales.jobs.runs import RunList
from gamesales.jobs.score import Backfill, RunPreview
from gamesales.jobs.sign import PolicyResult, SignatureResult
from gamesales.jobs.site import SiteResult
from gamesales.jobs.train import TrainingResult
from gamesales.jobs.tune import TuneResult
from gamesales.jobs.vacuum import VacuumResult
from gamesales.jobs.version_page import VersionPageResult
from gamesales.jobs.versions import VerificationResult, VersionList
from gamesales.old_keys import OLD_KEYS
from gamesales.scoring.run_report import RunReport

FOLDER = Path(__file__).parent / "reference"
RESULTS = {
    "init": InitResult,
    "contract check": ContractCheck,
    "train": TrainingResult,
    "tune": TuneResult,
    "crossvalidate": CrossValidationResult,
    "preprocess": PreprocessingResult,
    "simulate": SimulationResult,
    "versions": VersionList,
    "show": VersionDetails,
    "history": EventList,
    "evaluate": EvaluationResult,
    "compare": VersionComparison,
    "promote": Promotion,
    "rollback": Promotion,
    "retire": RetirementResult,
    "alias set": Promotion,
    "alias delete": AliasDeletion,
    "alias list": AliasList,
    "verify": VerificationResult,
    "score": RunReport | RunPreview | Backfill,
    "predict": Prediction,
    "runs": RunList,
    "report": VersionPageResult | RunPageResult | SiteResult,
    "gc": CollectionResult,
    "backtest": BacktestResult,
    "export": ExportResult,
    "copy": CopyResult,
    "vacuum": VacuumResult,
    "sign": SignatureResult,
    "policy-show": PolicyResult,
    "policy-sign": SignatureResult,
    "policy-set": PolicyResult,
}
ERROR_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Any command that fails",
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "additionalProperties": False,
            "properties": {
                **{name: {"type": "string"} for name in ("code", "message", "hint")},
                "evidence": {"type": "object", "description": "What the gate found, with its figures."},
            },
        }
    },
}


def reference():
    """Return the content of every file: name to text."""
    files = {f"{name.replace(' ', '-')}.schema.json": _text(_schema(name)) for name in RESULTS}
    pages = {"commands.md": _commands(), "python-names.md": _python_names()}
    return {**pages, "error.schema.json": _text(ERROR_SCHEMA), **files}


def _schema(name):
    schema = _with_old_keys(TypeAdapter(RESULTS[name]).json_schema(mode="serialization"))
    # Of a command with several documents, each is closed by itself.
    for document in schema["$defs"].values() if "anyOf" in schema else [schema]:
        document["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"gamesales {name} --json",
    }


def _with_old_keys(schema):
    """Add the old spelling of each renamed key to the properties of a schema, as deprecated."""
    if isinstance(schema, dict):
        schema = {key: _with_old_keys(value) for key, value in schema.items()}
        properties = schema.get("properties", {})
        for key in [key for key in properties if key in OLD_KEYS]:
            properties[OLD_KEYS[key]] = {**properties[key], "deprecated": True}
            if key in schema.get("required", ()):
                schema["required"].append(OLD_KEYS[key])
        return schema
    return [_with_old_keys(part) for part in schema] if isinstance(schema, list) else schema


def _text(document):
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _commands():
    lines = [
        "# Commands",
        "",
        "Written by `make docs` from the code. Every command also takes `--help`, `--wide` and `--traceback`.",
        "The schema of the `--json` output of a command is in `<command>.schema.json` beside this page.",
        "The schema of an error is in `error.schema.json`.",
    ]
    for name, command in _named(typer.main.get_command(make_app())):
        examples = [f"    {line}" for line in command.epilog.splitlines()]
        lines += ["", f"## gamesales {name}", "", command.help, "", *examples, "", "| | | default |", "|---|---|---|"]
        lines += [_row(parameter) for parameter in command.params if parameter.name != "help"]
    return "\n".join(lines) + "\n"


def _named(group, before=""):
    """Yield every command with its name, ``alias set`` of the group ``alias`` too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _named(command, f"{name} ")
        else:
            yield f"{before}{name}", command


def _row(parameter):
    is_argument = parameter.param_type_name == "argument"
    name = (
        parameter.metavar or parameter.name.upper()
        if is_argument
        else ", ".join(sorted(parameter.opts, key=len, reverse=True))
    )
    metavar = "" if is_argument or parameter.is_flag else f" {parameter.metavar}"
    default = parameter.default
    shown = "" if default in (None, "", False) or callable(default) else f"`{default}`"
    if parameter.required:
        shown = "required"
    text = (parameter.help or "").replace("|", "\\|")
    label = f"{name}{metavar}".replace("|", "\\|")
    return f"| `{label}` | {text} | {shown} |"


def _python_names():
    lines = [
        "# Python names",
        "",
        "Written by `make docs` from the docstrings. [The Python API](python.md) says how to use the names.",
    ]
    for name in gamesales.__all__:
        value = getattr(gamesales, name)
        if inspect.isfunction(value):
            lines += _describe(name, value)
        elif inspect.isclass(value):
            lines += _describe(name, value)
            for key in [key for key in dir(value) if not key.startswith("_")]:
                lines += _describe(f"{name}.{key}", getattr(value, key))
    lines += ["", "## errors", "", "All errors of `gamesales.errors`, with the exit code of a command:", ""]
    tree = gamesales.errors.__doc__.split("Exit codes without")[0].split("\n", 1)[1]
    return "\n".join([*lines, "```text", textwrap.dedent(tree).strip(), "```"]) + "\n"


def _describe(name, value):
    """The heading, the signature and the docstring of a class, a function or a property."""
    if isinstance(value, property):
        signature = f"{name}: {value.fget.__annotations__['return']}"
    else:
        signature = _format_signature(name, value)
    return ["", f"## {name}", "", "```python", signature, "```", *_format_docstring(inspect.getdoc(value))]


def _format_signature(name, value):
    signature = inspect.signature(value)
    arguments = []
    for parameter in signature.parameters.values():
        if parameter.kind == parameter.KEYWORD_ONLY and "*" not in arguments:
            arguments.append("*")
        if parameter.name != "self":
            arguments.append(_format_parameter(parameter))
    returned = "" if inspect.isclass(value) else f" -> {signature.return_annotation}"
    line = f"{name}({', '.join(arguments)}){returned}"
    if len(line) <= 96:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){returned}"])


def _format_parameter(parameter):
    default = parameter.default
    if default is parameter.empty:
        return f"{parameter.name}: {parameter.annotation}"
    return f"{parameter.name}: {parameter.annotation} = {'LOGGER.info' if callable(default) else repr(default)}"


def _format_docstring(text):
    """Turn a docstring in Google blocks into Markdown."""
    lines = []
    for block in re.split(r"\n\n(?! )", text.replace("``", "`")):
        title, _, body = block.partition(":\n")
        if title not in ("Args", "Returns", "Raises"):
            lines += ["", *_wrap(block)]
            continue
        lines += ["", f"{'Arguments' if title == 'Args' else title}:", ""]
        for entry in re.split(r"\n(?! )", textwrap.dedent(body).strip()):
            label, separator, rest = entry.partition(": ")
            is_named = separator and title != "Returns"
            lines += _wrap(f"`{label}`: {rest}" if is_named else entry, bullet="- " if is_named else "")
    return lines


def _wrap(text, bullet=""):
    words = " ".join(text.split())
    indent = " " * len(bullet)
    return textwrap.wrap(
        words, 98, initial_indent=bullet, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in reference().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"wrote {len(reference())} files to {FOLDER}")
