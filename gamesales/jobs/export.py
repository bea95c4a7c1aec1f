"""A version for other programs: written beside its place, loaded again, held to the scorer, and only then put there."""

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
from gamesales.data.files import FULL, REFUSED, explaining, sync
from gamesales.errors import IntegrityError, UsageError
from gamesales.jobs.loading import load_registered
from gamesales.registry.bundle import Bundle
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.scoring.commit import publish_folder
from gamesales.scoring.scorer import GRAPH_FILE, LoadedVersion, Scorer
from gamesales.training import export as exporting
from gamesales.training import parity
from gamesales.training.scaling import Scaling

# What each format's file must be called at its end; a format without one is a folder.
SUFFIXES = {**exporting.KERAS_SUFFIXES, "onnx": ".onnx"}
FORMATS = (*SUFFIXES, "savedmodel", "tfserving")
SAVED_MODEL = "saved_model.pb"
ROWS = 4_000


@dataclass(frozen=True)
class Exported:
    """A version that was written for other programs, and how far what was written lies from the scorer.

    ``config`` is what TensorFlow Serving reads to find it; empty for other formats.
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


def export(registry: ModelRegistry, ref: Ref, form: str, output: Path, *, force: bool = False) -> Exported:
    """Write a version in another format.

    Args:
        registry: where it is.
        ref: which version.
        form: one of FORMATS.
        output: the file or folder to make; for ``tfserving`` the folder of all versions of the model.
        force: whether to replace an export that is there.

    Raises: UsageError: the format is unknown, or something is at the output. IntegrityError: the bundle was changed, or
        can't be exported. ParityError: what was written does not give the scorer's dollars. In all cases the output is
        as it was.
    """
    _check_form(form, output)
    version, bundle = registry.resolve(ref)
    given = output / str(version.number) if form == "tfserving" else output
    place = _free_place(given, form, force)
    loaded = load_registered(registry, version)
    if form not in SUFFIXES:
        exporting.check_names(loaded.contract.feature_names)
    scaling = _scaling(bundle, loaded)
    with _beside(place) as folder:
        made = folder / f"export{SUFFIXES.get(form, '')}"
        write = _writer(bundle, loaded, scaling, form)
        with explaining(FULL, given):
            write(made)
        values = _rows(loaded)
        largest = _check(loaded, scaling, form, made, values)
        _free_place(given, form, force)  # a second time, as this takes seconds
        with explaining(REFUSED, given):
            _publish(made, place)
    return Exported(
        model=registry.model,
        version=version.number,
        digest=version.digest,
        format=form,
        output=str(given),
        inputs=loaded.contract.feature_names,
        rows_checked=len(values),
        largest_difference=largest,
        config=_config(registry.model, output, version.number) if form == "tfserving" else "",
    )


def _check_form(form: str, output: Path) -> None:
    if form not in FORMATS:
        raise UsageError(f"no format {form!r}; expected one of {', '.join(FORMATS)}")
    suffix = SUFFIXES.get(form, "")
    if output.suffix != suffix and suffix:
        raise UsageError(
            f"--output {output} does not end in {suffix}, by which programs know the format {form}",
            hint=f"Give --output {output.with_suffix(suffix)}",
        )


def _free_place(given: Path, form: str, force: bool) -> Path:
    """Return where the export goes; a symbolic link stays one, and what it points to is meant.

    Raises: UsageError: something is there and may not be replaced, or there is no folder to make it in.
    """
    if os.path.lexists(given) and not force:
        raise UsageError(f"{given} exists", hint="Give another --output, or replace it whole with --force")
    place = Path(os.path.realpath(given))
    if place.exists():
        _check_replaceable(given, place, is_file=form in SUFFIXES)
    above = _folder_above(place, form)
    if not above.is_dir():
        raise UsageError(f"no folder {above} to write {given.name} in", hint=f"mkdir -p '{above}'")
    return place


def _check_replaceable(given: Path, place: Path, *, is_file: bool) -> None:
    """Replace nothing but what looks like an export: ``--force`` on a home folder must not cost it."""
    if is_file and not place.is_file():
        raise UsageError(f"{given} is no file, which --force could replace", hint="Give another --output")
    if not is_file and not (place / SAVED_MODEL).is_file():
        raise UsageError(f"{given} holds no {SAVED_MODEL}; --force replaces exports only", hint="Give another --output")


def _folder_above(place: Path, form: str) -> Path:
    """Return the folder that must be there: of a new model for TensorFlow Serving, the one above its own."""
    return place.parent.parent if form == "tfserving" and not place.parent.exists() else place.parent


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """Give a folder to write in on the place's own disk; its name hides it from TensorFlow Serving."""
    above = place.parent if place.parent.is_dir() else place.parent.parent
    folder = above / f".gamesales-{secrets.token_hex(8)}.tmp"
    with explaining(REFUSED, place):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _scaling(bundle: Bundle, loaded: LoadedVersion) -> Scaling:
    """Read the scaling from the checked manifest; ``scaler.joblib`` is a pickle and stays closed."""
    try:
        scaling = Scaling.from_dict(bundle.manifest["scaling"])
    except (LookupError, TypeError, ValueError) as error:
        raise IntegrityError(f"{bundle.where} tells no scaling: {error}", hint="Train again") from None
    if scaling.features != loaded.contract.feature_names:
        raise IntegrityError(
            f"{bundle.where} scales {', '.join(scaling.features)}, but its contract has "
            f"{', '.join(loaded.contract.feature_names)}",
            hint="Train again",
        )
    return scaling


def _rows(loaded: LoadedVersion) -> FloatArray:
    """Return the golden rows, and rows from all that the contract allows: (g + ROWS, k)."""
    seen = np.stack([loaded.lowest, loaded.highest])
    return np.concatenate([loaded.golden.values, parity.sample_contract(loaded.contract, seen, ROWS, seed=1)])


def _writer(bundle: Bundle, loaded: LoadedVersion, scaling: Scaling, form: str) -> Callable[[Path], object]:
    """Read from the bundle what the format needs, every byte checked, and return what writes it to a path."""
    if form == "onnx":
        content = bundle.read(GRAPH_FILE)
        return lambda made: made.write_bytes(content)
    network = exporting.load_network(bundle.read("model.keras"), f"{bundle.where}/model.keras")
    model = exporting.with_scaling(network, scaling)
    return partial(exporting.write, model, loaded.contract.feature_names, form)


def _check(loaded: LoadedVersion, scaling: Scaling, form: str, made: Path, values: FloatArray) -> float:
    """Load what was written, hold it to the scorer, and return the largest difference, US dollars."""
    if form == "onnx":
        found = [Scorer(made.read_bytes()).score(values)]
    else:
        found = exporting.predictions(loaded.contract.feature_names, form, made, values)
    expected = loaded.scorer.score(values)
    names = f"the export as {form}", "the scorer"
    return max(parity.check_parity(expected, earnings, scaling, names) for earnings in found)


def _publish(made: Path, place: Path) -> None:
    """Move what was made to its place in one step, its bytes on the disk before its name."""
    place.parent.mkdir(exist_ok=True)
    if made.is_dir():
        publish_folder(made, place)
    else:
        sync(made)
        made.replace(place)
        sync(place.parent)


def _config(model: str, output: Path, number: int) -> str:
    """Return what ``tensorflow_model_server --model_config_file`` reads; its texts are quoted as in JSON."""
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
