"""Export a version for other programs.

The export is written to a temporary folder on the same disk, loaded again and compared with the scorer. Only then is it
moved to its place, in one step.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gamesales.arrays import FloatArray
from gamesales.data.contract import Contract
from gamesales.data.files import DISK_FULL_ERRORS, WRITE_ERRORS, explain_write_errors, fsync
from gamesales.errors import IntegrityError, ParityError, UsageError
from gamesales.jobs.evaluate import read_scaling
from gamesales.jobs.loading import load_registered
from gamesales.registry.bundle import Bundle
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.scoring.commit import publish_folder
from gamesales.scoring.scorer import GRAPH_FILE, LoadedVersion, Scorer, get_target_range
from gamesales.stats.amounts import InUnit, keeps_unit, set_unit
from gamesales.training import export as exporting
from gamesales.training import parity
from gamesales.training.encoding import needs_encoding
from gamesales.training.export_columns import describe_inputs, make_raw_columns, read_raw_columns, takes_text
from gamesales.training.onnx_columns import add_columns, predict_with_columns
from gamesales.training.scaling import Scaling

# The suffix of each format's file. A format without a suffix is a folder.
SUFFIXES = {**exporting.KERAS_SUFFIXES, "onnx": ".onnx"}
FORMATS = (*SUFFIXES, "savedmodel", "tfserving")
SAVED_MODEL = "saved_model.pb"
# The suffix of the file beside a .keras file that describes its inputs, if the inputs are codes.
INPUTS_SUFFIX = ".inputs.json"
# Sampled rows on which the export is compared with the scorer, besides the golden rows.
ROWS = 4_000


@dataclass(frozen=True)
class ExportResult(InUnit):
    """An exported version.

    ``largest_difference`` is the largest difference from the scorer on ``rows_checked`` rows, in the target's unit.
    ``config`` is what TensorFlow Serving needs to find the export. It is empty for other formats. ``note`` says what
    the export takes instead of raw cells; it is empty if all inputs are raw cells.
    """

    model: str
    version: int
    digest: str
    format: str
    output: str
    inputs: tuple[str, ...]
    rows_checked: int
    largest_difference: float
    config: str
    note: str


@keeps_unit
def export(registry: ModelRegistry, ref: Ref, form: str, output: Path, *, force: bool = False) -> ExportResult:
    """Export a version in another format. If the export fails, the output is unchanged.

    Args:
        registry: the registry of the model.
        ref: the version.
        form: one of FORMATS.
        output: the file or folder to make. For ``tfserving``, the folder that holds all versions of the model.
        force: whether to replace an existing export.

    Raises:
        UsageError: the format is unknown, or the output exists.
        IntegrityError: the bundle was changed, or can't be exported.
        ParityError: the export does not predict what the scorer predicts.
    """
    _check_format(form, output)
    version, bundle = registry.resolve(ref)
    visible = output / str(version.number) if form == "tfserving" else output
    target = _find_target(visible, form, force)
    loaded = load_registered(registry, version)
    set_unit(loaded.contract.unit)
    exporting.check_form(loaded.contract, form)
    scaling = _read_scaling(bundle, loaded)
    inputs_file = _find_inputs_file(target, loaded.contract, form, force)
    with _make_temporary_folder(target) as folder:
        made = folder / f"export{SUFFIXES.get(form, '')}"
        write = _make_writer(bundle, loaded, scaling, form)
        with explain_write_errors(DISK_FULL_ERRORS, visible):
            write(made)
        rows = _sample_rows(loaded)
        largest = _check_parity(loaded, scaling, form, made, rows)
        _find_target(visible, form, force)  # once more, because writing takes seconds
        with explain_write_errors(WRITE_ERRORS, visible):
            if inputs_file:
                (folder / inputs_file.name).write_text(describe_inputs(loaded.contract), encoding="utf-8")
                _publish(folder / inputs_file.name, inputs_file)
            _publish(made, target)
    return ExportResult(
        model=registry.model,
        version=version.number,
        digest=version.digest,
        format=form,
        output=str(visible),
        inputs=loaded.contract.feature_names,
        rows_checked=len(rows),
        largest_difference=largest,
        config=_format_config(registry.model, output, version.number) if form == "tfserving" else "",
        note=_describe_inputs(loaded.contract, form, inputs_file),
    )


def _check_format(form: str, output: Path) -> None:
    if form not in FORMATS:
        raise UsageError(f"no format {form!r}; expected one of {', '.join(FORMATS)}")
    suffix = SUFFIXES.get(form, "")
    if output.suffix != suffix and suffix:
        raise UsageError(
            f"--output {output} does not end in {suffix}, the suffix of the format {form}",
            hint=f"Give --output {output.with_suffix(suffix)}",
        )


def _find_target(visible: Path, form: str, force: bool) -> Path:
    """Return the path to write to. A symbolic link is kept, and its target is written.

    Raises:
        UsageError: something exists that may not be replaced, or the parent folder is missing.
    """
    if os.path.lexists(visible) and not force:
        raise UsageError(f"{visible} exists", hint="Give another --output, or replace it with --force")
    target = Path(os.path.realpath(visible))
    if target.exists():
        _check_replaceable(visible, target, is_file=form in SUFFIXES)
    parent = _parent_folder(target, form)
    if not parent.is_dir():
        raise UsageError(f"can't write {visible.name}: there is no folder {parent}", hint=f"mkdir -p '{parent}'")
    return target


def _find_inputs_file(target: Path, contract: Contract, form: str, force: bool) -> Path | None:
    """Return the path of the file that describes the inputs; None for an export that needs none.

    Raises:
        UsageError: the file exists and may not be replaced.
    """
    if form != "keras" or not needs_encoding(contract):
        return None
    path = target.with_suffix(INPUTS_SUFFIX)
    if os.path.lexists(path) and not (force and path.is_file()):
        hint = "Give another --output, or replace it with --force"
        raise UsageError(f"{path} exists, and the export describes its inputs there", hint=hint)
    return path


def _describe_inputs(contract: Contract, form: str, inputs_file: Path | None) -> str:
    """Return what an export takes instead of raw cells."""
    if inputs_file:
        return f"it takes codes and days instead of text; {inputs_file} lists them"
    if not needs_encoding(contract) or form in ("keras", "h5"):
        return ""
    dates = [column for column in contract.features if column.kind == "date"]
    notes = []
    if form == "onnx" and any(column.kind == "category" for column in contract.features):
        notes.append("it takes text without blanks around it")
    numbers = [column.name for column in dates if form == "onnx" or not takes_text(column)]
    if numbers:
        notes.append(f"it takes {', '.join(numbers)} as days since 1970-01-01")
    return "; ".join(notes)


def _check_replaceable(visible: Path, target: Path, *, is_file: bool) -> None:
    """Allow only what looks like an export to be replaced. ``--force`` on a home folder must not delete it."""
    if is_file and not target.is_file():
        raise UsageError(f"{visible} is not a file; --force replaces only exports", hint="Give another --output")
    if not is_file and not (target / SAVED_MODEL).is_file():
        raise UsageError(
            f"{visible} holds no {SAVED_MODEL}; --force replaces only exports", hint="Give another --output"
        )


def _parent_folder(target: Path, form: str) -> Path:
    """Return the folder that must exist. For a new model of TensorFlow Serving, it is the parent of the model's."""
    return target.parent.parent if form == "tfserving" and not target.parent.exists() else target.parent


@contextmanager
def _make_temporary_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder on the disk of the target. TensorFlow Serving ignores it because of its name."""
    parent = target.parent if target.parent.is_dir() else target.parent.parent
    folder = parent / f".gamesales-{secrets.token_hex(8)}.tmp"
    with explain_write_errors(WRITE_ERRORS, target):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read_scaling(bundle: Bundle, loaded: LoadedVersion) -> Scaling:
    """Read the scaling, which must have the features of the contract."""
    scaling = read_scaling(bundle)
    if scaling.features != loaded.contract.feature_names:
        raise IntegrityError(
            f"{bundle.location} scales {', '.join(scaling.features)}, but its contract has "
            f"{', '.join(loaded.contract.feature_names)}",
            hint="Train again",
        )
    return scaling


def _make_writer(bundle: Bundle, loaded: LoadedVersion, scaling: Scaling, form: str) -> Callable[[Path], object]:
    """Read the bundle's file for the format, every byte checked. Return a function that writes the export."""
    limits = get_target_range(loaded.contract)
    if form == "onnx":
        content = exporting.clip_graph(bundle.read(GRAPH_FILE), *limits)
        if needs_encoding(loaded.contract):
            content = add_columns(content, loaded.contract)
        return lambda made: made.write_bytes(content)
    network = exporting.load_network(bundle.read("model.keras"), f"{bundle.location}/model.keras")
    model = exporting.add_scaling(network, scaling, limits)
    return partial(exporting.write_export, model, loaded.contract, form)


def _sample_rows(loaded: LoadedVersion) -> FloatArray:
    """Return the g golden rows and ROWS rows sampled from the contract: float64 (g + ROWS, k)."""
    seen = np.stack([loaded.training_min, loaded.training_max])
    return np.concatenate([loaded.golden.values, parity.sample_contract(loaded.contract, seen, ROWS, seed=1)])


def _check_parity(loaded: LoadedVersion, scaling: Scaling, form: str, made: Path, rows: FloatArray) -> float:
    """Load the export, compare it with the scorer, and return the largest difference, in the target's unit."""
    contract, raw, rejected = loaded.contract, None, np.zeros(len(rows), bool)
    if needs_encoding(contract) and form not in exporting.KERAS_SUFFIXES:
        raw = make_raw_columns(contract, rows, onnx=form == "onnx")
        rows, rejected = read_raw_columns(contract, raw)
    if form != "onnx":
        predictions = exporting.predict_with_export(contract, form, made, rows, raw)
    elif raw:
        predictions = [predict_with_columns(made.read_bytes(), raw)]
    else:
        predictions = [Scorer(made.read_bytes()).score(rows)]
    expected, _ = loaded.clip(loaded.scorer.score(rows))
    names = f"the export as {form}", "the scorer"
    if raw and (np.isnan(predictions[0]) != rejected).any():
        raise ParityError(f"{names[0]} rejects other rows than scoring", hint="Report this as a bug of gamesales")
    kept = ~rejected
    return max(parity.check_parity(expected[kept], predicted[kept], scaling, names) for predicted in predictions)


def _publish(made: Path, target: Path) -> None:
    """Move the export to its place in one step. Its bytes are on the disk before its name is."""
    target.parent.mkdir(exist_ok=True)
    if made.is_dir():
        publish_folder(made, target, lambda: None)
    else:
        fsync(made)
        made.replace(target)
        fsync(target.parent)


def _format_config(model: str, output: Path, number: int) -> str:
    """Return a file for ``tensorflow_model_server --model_config_file``. Its strings are quoted as in JSON."""
    return (
        "model_config_list {\n"
        "  config {\n"
        f"    name: {json.dumps(model)}\n"
        f"    base_path: {json.dumps(os.path.abspath(output), ensure_ascii=False)}\n"  # noqa: PTH100 - links stay
        '    model_platform: "tensorflow"\n'
        f"    model_version_policy {{ specific {{ versions: {number} }} }}\n"
        "  }\n"
        "}\n"
    )
