"""Compare two versions: what they were made from, how they were trained, and their metrics on the same titles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gamesales.data.column_changes import ColumnChange, list_column_changes
from gamesales.data.contract import Contract
from gamesales.errors import UnknownVersionError
from gamesales.jobs.versions import METRIC_KEYS, read_metric
from gamesales.registry.bundle import find_data
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.state import Evaluation, Version
from gamesales.report.format import format_count
from gamesales.stats.amounts import InUnit, amounts_in, read_unit, unit_of
from gamesales.stats.metrics import METRICS

# The lower and the upper end.
ConfidenceInterval = tuple[float, float]


@dataclass(frozen=True)
class ComparedVersion(InUnit):
    """One of the two versions. ``evaluated_on`` maps the SHA-256 of each evaluation's file to its path."""

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
class ManifestEntry:
    """One value of the two manifests. It is None in a manifest that lacks it."""

    name: str
    first: Any
    second: Any
    same: bool


@dataclass(frozen=True)
class ManifestSection:
    """Related entries of the two manifests. ``same`` says whether all of them are equal."""

    name: str
    same: bool
    entries: list[ManifestEntry]


@dataclass(frozen=True)
class MetricPair:
    """One metric of both versions, with the 95% confidence intervals that are recorded.

    ``difference`` is the second minus the first. It is None if the two are in different units.
    """

    name: str
    first: float | None
    second: float | None
    difference: float | None
    first_interval: ConfidenceInterval | None
    second_interval: ConfidenceInterval | None


@dataclass(frozen=True)
class FileMetrics:
    """The latest metrics of both versions on one file."""

    data: str
    data_sha256: str
    rows: int
    same: bool
    entries: list[MetricPair]


@dataclass(frozen=True)
class VersionComparison:
    """Two versions side by side.

    ``metrics_by_file`` has an entry for each file that both versions were evaluated on. ``same_training_data`` and
    ``same_holdout`` are None if a manifest does not name the file. ``changed_columns`` are the features that only one
    of the versions needs, or that the second reads differently.
    """

    first: ComparedVersion
    second: ComparedVersion
    same_training_data: bool | None
    same_holdout: bool | None
    metrics_by_file: list[FileMetrics]
    sections: list[ManifestSection]
    changed_columns: list[ColumnChange] = field(default_factory=list)

    def __repr__(self) -> str:
        first, second = (f"version {side.version} of {side.model}" for side in (self.first, self.second))
        files = format_count(len(self.metrics_by_file), "common file")
        return f"VersionComparison({first} and {second}: metrics on {files})"

    def _repr_html_(self) -> str:
        from gamesales.display import make_table

        names = [f"version {side.version}" for side in (self.first, self.second)]
        metrics = [
            make_table(
                f"{'metrics' if file.entries else 'the same metrics'} on {file.data}, {format_count(file.rows, 'row')}",
                ["metric", *names, "difference"],
                [_format_pair(pair, self) for pair in file.entries],
            )
            for file in self.metrics_by_file
        ]
        rows = [
            [section.name, entry.name, *(_shorten(entry, value) for value in (entry.first, entry.second))]
            for section in self.sections
            if section.name != "files"  # their digests always differ
            for entry in section.entries
        ]
        caption = "network, training, data, contract and software" if rows else "nothing else differs"
        return "\n".join([*metrics, make_table(caption, ["section", "value", *names], rows)])


def _shorten(entry: ManifestEntry, value: Any) -> Any:
    if entry.name.endswith(".values") and isinstance(value, list):
        return format_count(len(value), "value")
    return str(value)[:12] if entry.name.endswith("sha256") and value is not None else value


def _format_pair(pair: MetricPair, comparison: VersionComparison) -> list[str | None]:
    first, second = comparison.first, comparison.second
    values = (pair.first, first), (pair.second, second), (pair.difference, first)
    return [METRICS[pair.name].heading, *(format_metric(pair.name, value, side) for value, side in values)]


def format_metric(key: str, value: float | None, version: ComparedVersion) -> str | None:
    """Write a metric in the unit of a version; None without a value."""
    with amounts_in(unit_of(version)):
        return None if value is None else METRICS[key].format(value)


def compare(
    first: tuple[ModelRegistry, Ref], second: tuple[ModelRegistry, Ref], *, everything: bool = False
) -> VersionComparison:
    """Compare two versions of one model or of two. They may be retired. Their manifests are checked.

    Equal values are left out, unless ``everything`` is set.

    Raises:
        UnknownVersionError: the files of a version were removed.
    """
    first_version, first_manifest, first_evaluations = _open(*first)
    second_version, second_manifest, second_evaluations = _open(*second)
    manifests = first_manifest, second_manifest
    comparison = VersionComparison(
        first=first_version,
        second=second_version,
        same_training_data=_same_data(*manifests, "train"),
        same_holdout=_same_data(*manifests, "test"),
        metrics_by_file=list(_pair_metrics(first_evaluations, second_evaluations)),
        sections=[_make_section(name, *map(select, manifests)) for name, select in _SECTIONS.items()],
        changed_columns=_list_changed_columns(*manifests),
    )
    return comparison if everything else _drop_equal(comparison)


def _open(registry: ModelRegistry, ref: Ref) -> tuple[ComparedVersion, Mapping[str, Any], Evaluations]:
    state = registry.read_state()
    version = registry.find(state, ref, allow_retired=True)
    if registry.is_removed(version):
        raise UnknownVersionError(
            f"the files of version {version.number} of {registry.model} were removed after it was retired; "
            "there is nothing left to compare",
            hint=f"See its events in the log: {registry.format_command(f'show {version.number}')}",
        )
    manifest = registry.open_bundle(version).manifest
    evaluations = collect_evaluations(version, manifest)
    event = version.registration
    with amounts_in(read_unit(manifest)):
        compared = ComparedVersion(
            model=registry.model,
            version=version.number,
            aliases=state.aliases_of(version.number),
            registered=event.time,
            actor=event.actor,
            reason=event.reason,
            retired=version.retirement is not None,
            digest=version.digest,
            evaluated_on={digest: evaluation.data for digest, evaluation in evaluations.items()},
        )
    return compared, manifest, evaluations


def _same_data(first: Mapping[str, Any], second: Mapping[str, Any], role: str) -> bool | None:
    digests = [find_data(manifest, role).get("sha256") for manifest in (first, second)]
    return None if None in digests else digests[0] == digests[1]


def _list_changed_columns(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[ColumnChange]:
    """List the changes of columns; none if a manifest has no contract that this release can read."""
    try:
        contracts = [Contract.from_json(manifest["contract"]) for manifest in (first, second)]
    except (ValueError, TypeError, LookupError, AttributeError):
        return []
    return list_column_changes(*contracts)


def _drop_equal(comparison: VersionComparison) -> VersionComparison:
    """Drop the sections and entries that are equal."""
    sections = [
        replace(section, entries=[entry for entry in section.entries if not entry.same])
        for section in comparison.sections
        if not section.same
    ]
    metrics_by_file = [
        replace(metrics, entries=[entry for entry in metrics.entries if entry.first != entry.second])
        for metrics in comparison.metrics_by_file
    ]
    return replace(comparison, sections=sections, metrics_by_file=metrics_by_file)


# By the SHA-256 of the file.
Evaluations = Mapping[str, Evaluation]


def collect_evaluations(version: Version, manifest: Mapping[str, Any]) -> Evaluations:
    """Return the latest evaluation of a version on each file.

    Training writes metrics and confidence intervals on the holdout into the manifest. An evaluation in the log on the
    same file replaces them.
    """
    evaluations: dict[str, Evaluation] = {}
    holdout, metrics = find_data(manifest, "test"), manifest.get("metrics")
    if holdout and metrics:
        evaluations[holdout["sha256"]] = Evaluation(
            data=holdout["path"],
            data_sha256=holdout["sha256"],
            rows=holdout["rows"],
            metrics=metrics,
            time=version.registration.time,
            intervals=_holdout_intervals(manifest),
            unit=read_unit(manifest),
        )
    return evaluations | {past.data_sha256: past for past in version.read_holdout_evaluations()}


def _holdout_intervals(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the confidence intervals on the holdout. The manifest of an early release has none."""
    value: Any = manifest
    for key in ("evaluation", "holdout", "intervals"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _pair_metrics(first: Evaluations, second: Evaluations) -> Iterator[FileMetrics]:
    """Yield the metrics on each file that both versions were evaluated on. Other files can't be compared."""
    for digest, ours in first.items():
        if digest in second:
            entries = [_pair(key, ours, second[digest]) for key in METRIC_KEYS.values()]
            same = all(entry.first == entry.second for entry in entries)
            yield FileMetrics(ours.data, digest, ours.rows, same, entries)


def _pair(key: str, first: Evaluation, second: Evaluation) -> MetricPair:
    values = read_metric(first.metrics, key), read_metric(second.metrics, key)
    is_comparable = first.unit == second.unit or METRICS[key].has_no_unit
    before, after = values if is_comparable else (None, None)
    difference = None if before is None or after is None else after - before
    return MetricPair(key, *values, difference, read_interval(first, key), read_interval(second, key))


def read_interval(evaluation: Evaluation, key: str) -> ConfidenceInterval | None:
    """Read the confidence interval of a metric; None if there is none, or if it is not an interval."""
    match evaluation.intervals.get(key):
        case [int() | float() as low, int() | float() as high]:
            return float(low), float(high)
    return None


def _make_section(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> ManifestSection:
    """Pair two flat mappings, in the order of the second. Keys that only the first has come last."""
    entries = []
    for key in [*second, *(key for key in first if key not in second)]:
        same = key in first and key in second and first[key] == second[key]
        entries.append(ManifestEntry(key, first.get(key), second.get(key), same))
    return ManifestSection(name, all(entry.same for entry in entries), entries)


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    """Flatten nested JSON: ``{"layers": [{"units": 50}]}`` becomes ``{"layers.0.units": 50}``."""
    children: Mapping[Any, Any] = {}
    if isinstance(value, Mapping):
        children = value
    elif isinstance(value, Sequence) and not isinstance(value, str):
        children = dict(enumerate(value))
    if not children:
        return {name: value} if name else {}
    return {
        path: leaf
        for key, child in children.items()
        for path, leaf in _flatten(child, f"{name}.{key}" if name else str(key)).items()
    }


def _flatten_contract(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a contract by column name, so that a moved column counts as the same. ``features`` holds the order."""
    contract = manifest.get("contract", {})
    features = contract.get("features", [])
    flat = {"features": [column["name"] for column in features]} if features else {}
    for column in [*features, *([contract["target"]] if "target" in contract else [])]:
        flat |= {f"{column['name']}.{key}": value for key, value in column.items() if key != "name"}
    return flat | ({"identity": contract["identity"]} if "identity" in contract else {})


_SECTIONS: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "network": lambda manifest: _flatten(manifest.get("network", {})),
    "training": lambda manifest: _flatten(manifest.get("training", {})),
    "data": lambda manifest: _flatten(manifest.get("data", {})),
    "contract": _flatten_contract,
    "software": lambda manifest: {**manifest.get("software", {}), "git commit": manifest.get("git_commit")},
    "files": lambda manifest: _flatten(manifest.get("files", {})),
}


def list_settings(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """List what is compared besides metrics: section -> name -> value."""
    return {name: select(manifest) for name, select in _SECTIONS.items()}
