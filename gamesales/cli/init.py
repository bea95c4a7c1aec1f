"""The commands init and contract: propose a contract for a table, and check files against a contract."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from gamesales.cli import progress
from gamesales.cli.commands import CommandGroup
from gamesales.cli.render import show_result
from gamesales.cli.table import format_table
from gamesales.cli.values import NAME
from gamesales.errors import InputError
from gamesales.registry.refs import DEFAULT_REGISTRY, format_command
from gamesales.report.format import format_count

if TYPE_CHECKING:
    import typer

    from gamesales.cli.options import JsonOption, NameOption
    from gamesales.jobs.check_contract import CheckedColumn, ContractCheck
    from gamesales.jobs.init import InitResult
    from gamesales.jobs.proposal import ColumnDecision

_FEATURE = "feature"
_CHECK_HEADER = ("column", "kind", "missing", "do not fit", "unseen", "examples")
_SCALES = {"log": "logarithmic scale", "minmax": "linear scale"}


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The table, a CSV or Parquet file.")],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict.")],
    into: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder for the contract, the parts and the jobs.")
    ] = Path(),
    split_by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Keep the rows of each value of this column in one part."),
    ] = None,
    split_date: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Test on the rows with the newest values of this column.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The seed of the split.")] = 1,
    test_share: Annotated[float, typer.Option(metavar="SHARE", help="The share of the rows in the test part.")] = 0.2,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Start from a table: propose its contract, split it, and write the jobs.

    Examples:
        gamesales init ../sales.csv --target total_earnings --into store
        gamesales init sales.csv --target units --split-date release_date
    """
    progress.say_reading(file)
    from gamesales.jobs.init import InitSettings
    from gamesales.jobs.init import init as run

    settings = InitSettings(target, into, split_by, split_date, seed, test_share, name)
    show_result(run(file, settings), _format_init, as_json=as_json)


def _format_init(result: InitResult) -> str:
    left_out = {
        "without a target": result.left_out.without_target,
        "that do not fit": result.left_out.misfits,
        "that can't be read": result.left_out.malformed,
        "blank": result.left_out.blank,
    }
    left_out_words = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items() if count)
    rows = [_format_decision(decision) for decision in result.columns]
    parts = f"{result.training_rows:,} to train, {result.test_rows:,} to test, {result.split}"
    dialect = ", ".join(f"{key} {value!r}" for key, value in result.csv.items())
    return "\n".join(
        [
            f"{format_count(result.rows, 'row')} of {result.source}: {parts}",
            *([f"left out: {left_out_words}"] if left_out_words else []),
            *([f"read with {dialect}"] if dialect else []),
            "",
            f"target   {result.target}, {result.unit or 'without a unit'}, on a {_SCALES[result.scale]}",
            "",
            format_table(["column", "kind", "missing", "values", "why"], rows, optional=("missing",)),
            "",
            *(f"note: {note}" for note in result.notes),
            *([""] if result.notes else []),
            f"wrote    {', '.join(result.files)}",
            f"to       {result.into}",
            "This is a proposal. Read the contract, correct it, and type:",
            *_list_next_commands(result),
        ]
    )


def _format_decision(decision: ColumnDecision) -> list[str]:
    missing = f"{decision.missing:,}" if decision.missing else "-"
    kind = decision.kind if decision.use == _FEATURE and decision.kind else decision.use
    return [decision.name, kind, missing, decision.values, decision.why]


def _list_next_commands(result: InitResult) -> list[str]:
    enter = [] if result.into == "." else [f"cd {shlex.quote(result.into)}"]
    commands = [
        "gamesales train",
        format_command("promote 1", DEFAULT_REGISTRY, result.model),
        "gamesales score",
    ]
    return [f"  {command}" for command in [*enter, *commands]]


def check_contract(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file.")],
    contract: Annotated[Path, typer.Option(metavar="FILE", help="The contract.")] = Path("data/contract.toml"),
    as_json: JsonOption = False,
) -> int:
    """Check how well a file fits a contract; exit code 3 if a row does not fit.

    Examples:
        gamesales contract check new.csv
    """
    from gamesales.jobs.check_contract import check_contract as run

    result = run(file, contract)
    show_result(result, _format_check, as_json=as_json)
    return 0 if result.fits else InputError.exit_code


def _format_check(result: ContractCheck) -> str:
    rows = [_format_checked(column) for column in result.columns]
    dialect = ", ".join(f"{key} {value!r}" for key, value in result.csv.items())
    return "\n".join(
        [
            f"{result.rows_fitting:,} of {format_count(result.rows, 'row')} of {result.file} fit {result.contract}",
            *([f"read with {dialect}"] if dialect else []),
            *([f"values of categories learned from {result.training}"] if result.training else []),
            *(["", format_table(_CHECK_HEADER, rows, optional=("unseen",))] if rows else []),
            *_list_differences(result),
        ]
    )


def _format_checked(column: CheckedColumn) -> list[Any]:
    counts = [f"{count:,}" if count else "-" for count in (column.missing, column.misfits, column.unseen)]
    return [column.name, column.kind, *counts, "; ".join(column.examples) or "-"]


def _list_differences(result: ContractCheck) -> list[str]:
    lines = []
    if result.lacking:
        lines.append(f"the file lacks {', '.join(result.lacking)}")
    if result.further:
        lines.append(f"further columns, which scoring copies: {', '.join(result.further)}")
    if result.malformed:
        lines.append(f"rows that can't be read: {'; '.join(result.malformed)}")
    lines += [f"note: {note}" for note in result.notes]
    return ["", *lines] if lines else []


contract = CommandGroup(
    "Check files against the contract: the columns of a table, and their allowed values.", {"check": check_contract}
)
