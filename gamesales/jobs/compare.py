"""Two versions side by side: what they were made from and how, and their figures on the same titles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gamesales.errors import UnknownVersionError
from gamesales.jobs.versions import FIGURES, figure
from gamesales.registry.bundle import Bundle
from gamesales.registry.refs import Ref, short_ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Version


@dataclass(frozen=True)
class Side:
    """One of the two versions, and the files that it was evaluated on: digest to path."""

    model: str
    version: int
    aliases: list[str]
    registered: str
    actor: str
    reason: str
    retired: bool
    digest: str
    evaluated_on: dict[str, str]


@dataclass(frozen=True)
class Entry:
    """One thing that both say, or one of them; None: it does not."""

    name: str
    first: Any
    second: Any
    same: bool


@dataclass(frozen=True)
class Section:
    """What belongs together; ``same``: nothing in it differs."""

    name: str
    same: bool
    entries: list[Entry]


@dataclass(frozen=True)
class Comparison:
    """Two versions. ``figures`` is empty if they were evaluated on no file both; None: a manifest does not tell."""

    first: Side
    second: Side
    same_training_data: bool | None
    same_holdout: bool | None
    figures: list[Figures]
    sections: list[Section]


def compare(
    first: tuple[ModelRegistry, Ref], second: tuple[ModelRegistry, Ref], *, everything: bool = False
) -> Comparison:
    """Compare two versions, retired ones too; of one model or of two. Their manifests are checked.

    Args: everything: tell what is the same as well.
    Raises: UnknownVersionError: the files of one were removed.
    """
    one, its_bundle, its_measurements = _opened(*first)
    two, other_bundle, other_measurements = _opened(*second)
    before, after = its_bundle.manifest, other_bundle.manifest
    compared = Comparison(
        first=one,
        second=two,
        same_training_data=_same_data(before, after, "train"),
        same_holdout=_same_data(before, after, "test"),
        figures=list(figures_of_both(its_measurements, other_measurements)),
        sections=[_section(name, pick(before), pick(after)) for name, pick in _SECTIONS.items()],
    )
    return compared if everything else _differing(compared)


def _opened(registry: ModelRegistry, ref: Ref) -> tuple[Side, Bundle, Measurements]:
    state = registry.state()
    version = registry.find(state, ref, retired=True)
    if registry.is_removed(version):
        raise UnknownVersionError(
            f"the files of version {version.number} of {registry.model} were removed after it was retired; "
            "there is nothing left to compare",
            hint=f"See what the log says of it: gamesales show {short_ref(registry.model, version.number)}",
        )
    bundle = registry.bundle(version)
    measured = measurements(version, bundle.manifest)
    event = version.registered
    side = Side(
        model=registry.model,
        version=version.number,
        aliases=state.aliases_of(version.number),
        registered=event.time,
        actor=event.actor,
        reason=event.reason,
        retired=version.retired is not None,
        digest=version.digest,
        evaluated_on={digest: one.data for digest, one in measured.items()},
    )
    return side, bundle, measured


def _same_data(first: Mapping[str, Any], second: Mapping[str, Any], role: str) -> bool | None:
    digests = [manifest.get("data", {}).get(role, {}).get("sha256") for manifest in (first, second)]
    return None if None in digests else digests[0] == digests[1]


def _section(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Section:
    """Set two flat mappings side by side, in the order of the second; what only the first has comes last."""
    names = [*second, *(name for name in first if name not in second)]
    entries = [_entry(each, first, second) for each in names]
    return Section(name, all(entry.same for entry in entries), entries)


def _entry(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Entry:
    same = name in first and name in second and first[name] == second[name]
    return Entry(name, first.get(name), second.get(name), same)


def _differing(compared: Comparison) -> Comparison:
    """Leave out what is the same."""
    sections = [
        replace(section, entries=[entry for entry in section.entries if not entry.same])
        for section in compared.sections
        if not section.same
    ]
    figures = [
        replace(each, entries=[entry for entry in each.entries if entry.first != entry.second])
        for each in compared.figures
    ]
    return replace(compared, sections=sections, figures=figures)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Bring nested JSON into one level: ``{"layers": [{"units": 50}]}`` becomes ``{"layers.0.units": 50}``."""
    parts: Mapping[Any, Any] = {}
    if isinstance(value, Mapping):
        parts = value
    elif isinstance(value, Sequence) and not isinstance(value, str):
        parts = dict(enumerate(value))
    if not parts:
        return {name: value} if name else {}
    return {
        key: each
        for part, inner in parts.items()
        for key, each in _flat(inner, f"{name}.{part}" if name else str(part)).items()
    }


def _contract(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Tell a contract by column: the same column in another place is the same; the order is told by itself."""
    contract = manifest.get("contract", {})
    features = contract.get("features", [])
    told = {"features": [column["name"] for column in features]} if features else {}
    for column in [*features, *([contract["target"]] if "target" in contract else [])]:
        told |= {f"{column['name']}.{key}": value for key, value in column.items() if key != "name"}
    return told | ({"identity": contract["identity"]} if "identity" in contract else {})


def _software(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {**manifest.get("software", {}), "git commit": manifest.get("git_commit")}


_SECTIONS: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "network": lambda manifest: _flat(manifest.get("network", {})),
    "training": lambda manifest: _flat(manifest.get("training", {})),
    "data": lambda manifest: _flat(manifest.get("data", {})),
    "contract": _contract,
    "software": _software,
    "files": lambda manifest: _flat(manifest.get("files", {})),
}


Interval = tuple[float, float]


@dataclass(frozen=True)
class Measured:
    """What one version scored on one file."""

    data: str
    rows: int
    metrics: Mapping[str, Any]
    intervals: Mapping[str, Any]


# By the digest of the file.
Measurements = Mapping[str, Measured]


@dataclass(frozen=True)
class FigureEntry:
    """One figure of both, ``difference`` the second's less the first's; with intervals where they are recorded."""

    name: str
    first: float | None
    second: float | None
    difference: float | None
    first_interval: Interval | None
    second_interval: Interval | None


@dataclass(frozen=True)
class Figures:
    """The figures of both on one file, the latest of each."""

    data: str
    data_sha256: str
    rows: int
    same: bool
    entries: list[FigureEntry]


def measurements(version: Version, manifest: Mapping[str, Any]) -> Measurements:
    """Return the latest figures by the digest of the file: of the log, and of training, which the manifest holds."""
    found: dict[str, Measured] = {}
    holdout, metrics = manifest.get("data", {}).get("test"), manifest.get("metrics")
    if holdout and metrics:
        found[holdout["sha256"]] = Measured(holdout["path"], holdout["rows"], metrics, manifest.get("intervals", {}))
    for one in version.held_out:
        found[one.data_sha256] = Measured(one.data, one.rows, one.metrics, one.intervals)
    return found


def figures_of_both(first: Measurements, second: Measurements) -> Iterator[Figures]:
    """Yield the figures on each file that both were evaluated on: on other titles, others would be no surprise."""
    for digest, one in first.items():
        if digest in second:
            two = second[digest]
            entries = [_figure_entry(name, one, two) for name in FIGURES.values()]
            same = all(entry.first == entry.second for entry in entries)
            yield Figures(one.data, digest, one.rows, same, entries)


def _figure_entry(name: str, one: Measured, two: Measured) -> FigureEntry:
    first, second = figure(one.metrics, name), figure(two.metrics, name)
    difference = None if first is None or second is None else second - first
    return FigureEntry(name, first, second, difference, _interval(one, name), _interval(two, name))


def _interval(measured: Measured, name: str) -> Interval | None:
    """Return a figure's interval, if one is recorded: its lower and its upper end."""
    match measured.intervals.get(name):
        case [int() | float() as low, int() | float() as high]:
            return float(low), float(high)
    return None
