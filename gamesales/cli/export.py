"""The commands export and copy: a version for other programs, and a version for another registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gamesales.cli.render import show_result
from gamesales.cli.values import NAME, REGISTRY
from gamesales.jobs.loading import open_ref, open_registry
from gamesales.registry.refs import format_command
from gamesales.report.format import format_count
from gamesales.stats.amounts import format_amount

if TYPE_CHECKING:
    import typer

    from gamesales.cli.completion import complete_choices
    from gamesales.cli.options import JsonOption, NameOption, ReasonOption, RefArgument, RegistryOption
    from gamesales.jobs.copy import CopyResult
    from gamesales.jobs.export import ExportResult


def export(
    ref: RefArgument,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="keras, h5, onnx, savedmodel or tfserving.",
            autocompletion=complete_choices("keras", "h5", "onnx", "savedmodel", "tfserving"),
        ),
    ],
    output: Annotated[
        Path, typer.Option(metavar="PATH", help="The file or folder to write; for tfserving, the folder of the model.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing export.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Write a version for other programs, with raw columns as input and earnings as output.

    Examples:
        gamesales export 4 --format onnx --output model.onnx
    """
    from gamesales.jobs.export import export as run

    result = run(*open_ref(registry, ref, name), form, output, force=force)
    show_result(result, _format_export, as_json=as_json)


def _format_export(result: ExportResult) -> str:
    text = (
        f"wrote version {result.version} of {result.model} to {result.output}; loaded again, it is within "
        f"{format_amount(result.largest_difference, 4)} of the scorer on {format_count(result.rows_checked, 'row')}"
    )
    if result.note:
        text += f"; {result.note}"
    if result.config:
        text += f"\n\nFor tensorflow_model_server --model_config_file=FILE:\n\n{result.config.rstrip()}"
    return text


def copy(
    ref: RefArgument,
    target: Annotated[str, typer.Option("--to", metavar="PATH", help="The other registry, a folder or a URL.")],
    reason: ReasonOption = "",
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Copy a version to another registry, with its evaluations. Its alias is not copied.

    Examples:
        gamesales copy champion --to s3://bucket/registry
    """
    from gamesales.jobs.copy import copy_version

    source, parsed = open_ref(registry, ref, name)
    result = copy_version(source, parsed, open_registry(target, source.model), reason)
    show_result(result, _format_copy, as_json=as_json)


def _format_copy(result: CopyResult) -> str:
    evaluations = format_count(result.evaluations, "evaluation")
    version = f"version {result.version} of {result.model} in {result.registry}"
    if result.changed:
        text = f"version {result.source_version} is now {version}, with {evaluations}"
    else:
        text = f"version {result.source_version} is already {version}; {evaluations} copied"
    promote = format_command(f"promote {result.version}", result.registry, result.model)
    return f"{text}\n\npromote  {promote}"
