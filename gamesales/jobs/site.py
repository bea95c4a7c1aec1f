"""Write the site of a registry: a folder of pages about all models, their versions and their runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gamesales.errors import warn
from gamesales.jobs.loading import open_registry
from gamesales.jobs.runs import find_runs
from gamesales.jobs.site_folder import SiteFile, SiteFolder, make_site_file
from gamesales.jobs.site_model import collect_model, make_run
from gamesales.registry.models import list_models, make_unknown_model_error
from gamesales.registry.refs import DEFAULT_MODEL, is_model
from gamesales.report.site_data import Site, SiteModel, SiteRun
from gamesales.report.site_page import render_index, render_model
from gamesales.scoring.output import is_table
from gamesales.scoring.recorded_runs import RecordedRun
from gamesales.storage.store import open_store

_RUN_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class SiteResult:
    """The site that was written. ``page`` is the path of its first page."""

    page: str
    site: str
    registry: str
    models: list[str]
    versions: int
    runs: int


def write_site(location: str | Path, outputs: Sequence[Path | str], folder: Path) -> SiteResult:
    """Write the site of a registry, or bring it up to date.

    Args:
        location: the path or URL of the registry.
        outputs: the outputs of scoring jobs: folders, single files or Delta tables.
        folder: a folder that holds a site or nothing, or that does not exist.

    Raises:
        UsageError: the folder holds other files.
        UnknownVersionError: there is neither a model nor a run.
        IntegrityError: the log of a model is damaged. The site stays as it is.
        InputNotFoundError: an output has no runs.
    """
    site_folder = SiteFolder(folder)
    models, files = _collect_models(location, outputs)
    index = "index.html"
    pages_of_models = {model.name: f"{model.name}/{index}" for model in models}
    site_folder.reserve([*(file.path for file in files), *pages_of_models.values(), index])
    failures = site_folder.write(files)
    for path, failure in failures.items():
        warn(f"the page {path} can't be copied: {failure}")
    shown_models = [_drop_pages(model, failures) for model in models]
    site_folder.write([_render(pages_of_models[model.name], render_model(model)) for model in shown_models])
    registry = open_store(location).location
    warnings = [f"{model.name}: {warning}" for model in shown_models for warning in model.warnings]
    site_folder.write([_render(index, render_index(Site(registry, shown_models, warnings)))])
    site_folder.finish()
    return SiteResult(
        page=str(folder / index),
        site=str(folder),
        registry=registry,
        models=[model.name for model in shown_models],
        versions=sum(len(model.versions) for model in shown_models),
        runs=sum(len(model.runs) for model in shown_models),
    )


def _collect_models(location: str | Path, outputs: Sequence[Path | str]) -> tuple[list[SiteModel], list[SiteFile]]:
    """Collect the models of a registry with the runs of the outputs, sorted by name, and the pages to copy."""
    store = open_store(location)
    models: dict[str, SiteModel] = {}
    files: list[SiteFile] = []
    for name in list_models(store):
        models[name], pages = collect_model(open_registry(location, name))
        files += pages
    for number, output in enumerate(outputs, 1):
        runs = find_runs(output)
        for name in _name_models(runs, models):
            model = models.get(name, SiteModel(name))
            shown, pages = _make_runs(name, runs, output, number)
            models[name] = replace(model, runs=_sort_runs([*model.runs, *shown]))
            files += pages
    if not models:
        raise make_unknown_model_error(store, DEFAULT_MODEL)
    return [model for _, model in sorted(models.items())], files


def _render(path: str, text: str) -> SiteFile:
    return make_site_file(path, text.encode("utf-8", "backslashreplace"))


def _name_models(runs: Sequence[RecordedRun], models: Mapping[str, SiteModel]) -> list[str]:
    """Name the models of runs. A run without a report is shown with the other runs of its output."""
    names = sorted({run.report.model for run in runs if run.report})
    for name in names:
        if not is_model(name):
            warn(f"{name!r} can't name a model, so the site leaves its runs out")
    return [name for name in names if is_model(name)] or sorted(models)[:1] or [DEFAULT_MODEL]


def _make_runs(
    model: str, runs: Sequence[RecordedRun], output: Path | str, number: int
) -> tuple[list[SiteRun], list[SiteFile]]:
    """Make the runs of a model in an output, and their pages."""
    folder = "runs" if number == 1 else f"runs-{number}"
    make_copy = _choose_copy(output)
    shown, pages = [], []
    for run in runs:
        if run.report and run.report.model != model:
            continue
        path = ""
        if run.report and run.page and _RUN_ID.fullmatch(run.report.run_id):
            path = f"{folder}/{run.day}-{run.report.run_id[:8]}.html"
            pages.append(make_copy(f"{model}/{path}", run.page))
        shown.append(make_run(run, str(output), path))
    return shown, pages


def _choose_copy(output: Path | str) -> Callable[[str, str], SiteFile]:
    """Return a function that makes the copy of the page of a run from its path in the site and its place."""
    if not is_table(output):
        return _copy_file
    from gamesales.lake.location import TableLocation

    store = TableLocation(str(output)).open_store()
    return lambda path, key: SiteFile(path, key, partial(store.read, key))  # a key is never written again


def _copy_file(path: str, place: str) -> SiteFile:
    source = Path(place)
    try:
        content = source.read_bytes()
    except FileNotFoundError:  # the date was scored again since it was listed
        content = b""
    return SiteFile(path, hashlib.sha256(content).hexdigest(), source.read_bytes, len(content))


def _sort_runs(runs: Sequence[SiteRun]) -> list[SiteRun]:
    """Sort the runs of several outputs, newest date first. The runs of an output keep their order."""
    return sorted(runs, key=lambda run: run.date, reverse=True)


def _drop_pages(model: SiteModel, failures: Mapping[str, str]) -> SiteModel:
    """Drop the links to pages that can't be read, and add a warning for each."""
    failures = {path.removeprefix(f"{model.name}/"): text for path, text in failures.items()}
    warnings = [f"A page can't be read: {failures[item.page]}" for item in model.versions if item.page in failures]
    warnings += [f"A page can't be read: {failures[item.page]}" for item in model.runs if item.page in failures]
    if not warnings:
        return model
    return replace(
        model,
        versions=[replace(item, page="") if item.page in failures else item for item in model.versions],
        runs=[replace(item, page="") if item.page in failures else item for item in model.runs],
        warnings=[*model.warnings, *warnings],
    )
