"""export: a version for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamesales.cli.options import NAME, REGISTRY, JsonOption, NameOption, RefArgument, RegistryOption
from gamesales.cli.output import show_json
from gamesales.registry.refs import parse_ref


def export(
    ref: RefArgument,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="keras, h5, onnx, savedmodel or tfserving.")],
    output: Annotated[
        Path, typer.Option(metavar="PATH", help="The file or folder to make; for tfserving, the model's folder.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there, whole.")] = False,
    registry: RegistryOption = REGISTRY,
    name: NameOption = NAME,
    as_json: JsonOption = False,
) -> None:
    """Write a version for other programs: raw columns in, dollars out."""
    from gamesales.jobs.export import export as run
    from gamesales.jobs.loading import open_registry

    parsed = parse_ref(ref, name)
    done = run(open_registry(registry, parsed.model), parsed, form, output, force=force)
    if as_json:
        show_json(done)
        return
    print(
        f"wrote version {done.version} of {done.model} to {done.output}; loaded again, it is within "
        f"${done.largest_difference_usd:.4f} of the scorer on {done.rows_checked:,} rows"
    )
    if done.config:
        print(f"\nFor tensorflow_model_server --model_config_file=FILE:\n\n{done.config}", end="")


COMMANDS = (export,)
