"""Report scoring runs as OpenLineage events: what ran, what it read and what it wrote (https://openlineage.io).

The events are built by the classes of ``openlineage-python``, the extra ``lineage``. They go to a receiver at a URL,
such as Marquez, or to a file with one event per line. An event that can't be delivered is a warning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from glob import has_magic
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gamesales import __version__
from gamesales.errors import UsageError, format_install, warn
from gamesales.jobs.score_job import ScoreJob
from gamesales.scoring.run_report import RunReport

_ENDPOINT = "api/v1/lineage"
_NAMESPACE = "gamesales"
_PRODUCER = f"urn:gamesales:{__version__}"
_SECONDS = 5.0


@dataclass(frozen=True)
class LineageRun:
    """A scoring run of a date, as OpenLineage describes it.

    Attributes:
        job: What is scored.
        location: The path or URL of the registry.
        day: The date of the run.
        run_id: A new id. A run that is repeated is another run of OpenLineage.
        emit: Sends or writes an event.
    """

    job: ScoreJob
    location: str
    day: date
    run_id: str
    emit: Callable[[Any], object]

    def start(self) -> None:
        """Report that the run has begun."""
        self._report("START")

    def complete(self, report: RunReport, exit_code: int) -> None:
        """Report a result that was published, with its inputs, rows and drift."""
        self._report("COMPLETE", lambda: {"tags": make_tags(report, exit_code)}, report)

    def fail(self, message: str) -> None:
        """Report that nothing was published."""
        self._report("FAIL", lambda: {"errorMessage": make_error(message)})

    def abort(self) -> None:
        """Report that the run was interrupted."""
        self._report("ABORT")

    def _report(
        self, state: str, make_facets: Callable[[], dict[str, Any]] = dict, report: RunReport | None = None
    ) -> None:
        try:
            self.emit(self._make_event(state, make_facets(), report))
        except Exception as error:  # clients raise anything, and no event may fail a run
            status = getattr(getattr(error, "response", None), "status_code", None)
            reason = f"it answered {status}" if status else type(error.__cause__ or error).__name__
            warn(f"the {state} event of the run was not delivered to {_hide_secrets(self.job.lineage or '')}: {reason}")

    def _make_event(self, state: str, facets: dict[str, Any], report: RunReport | None) -> Any:
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import job_type_job, nominal_time_run, processing_engine_run

        nominal = nominal_time_run.NominalTimeRunFacet(nominalStartTime=f"{self.day}T00:00:00Z")
        engine = processing_engine_run.ProcessingEngineRunFacet(version=__version__, name="gamesales")
        kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="GAMESALES", jobType="JOB")
        namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or _NAMESPACE
        return RunEvent(
            eventType=RunState[state],
            eventTime=datetime.now(UTC).isoformat(),
            run=Run(self.run_id, {"nominalTime": nominal, "processing_engine": engine, **facets}),
            job=Job(namespace, f"{self.job.ref.model}.score", {"jobType": kind}),
            inputs=[] if report is None else make_inputs(report, self.job.inputs, self.location),
            outputs=[] if report is None else [make_output(report, str(self.job.output))],
            producer=_PRODUCER,
        )


def open_lineage(job: ScoreJob, location: str | Path, day: date) -> LineageRun:
    """Prepare the events of a run.

    Raises:
        UsageError: openlineage-python is not installed.
    """
    try:
        from openlineage.client.uuid import generate_new_uuid
    except ImportError:
        raise UsageError(
            "lineage needs openlineage-python, which is not installed",
            hint="Install it: " + format_install("gamesales[lineage]"),
        ) from None
    return LineageRun(job, str(location), day, str(generate_new_uuid()), make_emitter(job.lineage or ""))


def make_emitter(place: str) -> Callable[[Any], object]:
    """Return the function that sends events to a URL, or adds them to a file."""
    from openlineage.client.transport import file, http

    transport: Any
    if _is_url(place):
        parts = urlsplit(place)
        key = os.environ.get("OPENLINEAGE_API_KEY")
        settings = {
            "url": f"{parts.scheme}://{parts.netloc}",
            "endpoint": (parts.path.strip("/") or _ENDPOINT) + (f"?{parts.query}" if parts.query else ""),
            "timeout": _SECONDS,
            "retry": {"total": 0, "connect": 0, "read": 0, "status_forcelist": []},
            "auth": {"type": "api_key", "api_key": key} if key else {},
        }
        transport = http.HttpTransport(http.HttpConfig.from_dict(settings))
    else:
        transport = file.FileTransport(file.FileConfig(log_file_path=place, append=True))
    emit: Callable[[Any], object] = transport.emit
    return emit


def make_inputs(report: RunReport, sources: Sequence[str], location: str) -> list[Any]:
    """Return the data sets that a run read: the sources of its titles, and the version that scored.

    Sizes and rows belong to a source only if there is just one. The checks of the titles belong to all sources.
    """
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, input_statistics_input_dataset

    size = sum(file.size for file in report.inputs)
    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=report.rows_in, size=size, fileCount=len(report.inputs)
    )
    facets = {"dataQualityAssertions": make_assertions(report)}
    if len(sources) == 1:
        facets["inputStatistics"] = statistics
    names = dict.fromkeys(name_dataset(find_stable_part(source)) for source in sources)
    version = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=report.bundle_sha256)
    model = InputDataset(*name_dataset(f"{location.rstrip('/')}/{report.model}"), facets={"version": version})
    titles = [InputDataset(*name, inputFacets=facets) for name in names]
    return [*titles, model]


def make_assertions(report: RunReport) -> Any:
    """Return the checks of a run: the contract, duplicate ids, and the drift of each column."""
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    counts = {"rows_rejected": report.rows_rejected}
    if report.duplicate_ids is not None:
        counts["duplicate_ids"] = report.duplicate_ids.ids
    checks = [
        quality.Assertion(assertion=name, success=count == 0, severity="warn", expected="0", actual=str(count))
        for name, count in counts.items()
    ]
    for column in report.drift.columns if report.drift else ():
        drift = quality.Assertion(
            assertion="population_stability_index",
            success=not column.drifted,
            column=column.column,
            severity="warn",
            expected=f"at most {column.limit:.4f}",
            actual=f"{column.psi:.4f}",
        )
        checks.append(drift)
    return quality.DataQualityAssertionsDatasetFacet(assertions=checks)


def make_output(report: RunReport, output: str) -> Any:
    """Return the data set that a run wrote: a file, or the folder or table of all dates."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

    version = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=report.run_id)
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=report.rows_scored, size=sum(file.size for file in report.files), fileCount=len(report.files)
    )
    namespace, name = name_dataset(output)
    return OutputDataset(namespace, name, facets={"version": version}, outputFacets={"outputStatistics": statistics})


def make_tags(report: RunReport, exit_code: int) -> Any:
    """Return what identifies a run in gamesales."""
    from openlineage.client.facet_v2 import tags_run

    values = {
        "run_id": report.run_id,
        "run_date": report.run_date,
        "model_version": report.model_version,
        "exit_code": exit_code,
        "already_done": str(report.already_done).lower(),
    }
    fields = [
        tags_run.TagsRunFacetFields(key=key, value=str(value), source="gamesales") for key, value in values.items()
    ]
    return tags_run.TagsRunFacet(tags=fields)


def make_error(message: str) -> Any:
    """Return why a run failed."""
    from openlineage.client.facet_v2 import error_message_run

    return error_message_run.ErrorMessageRunFacet(message=message, programmingLanguage="Python")


def find_stable_part(source: str) -> str:
    """Return the part of an input that is the same on all dates: ``in`` of ``in/{date}/*.csv``."""
    parts = source.split("/")
    stable = next((number for number, part in enumerate(parts) if "{" in part or has_magic(part)), len(parts))
    return "/".join(parts[:stable]) or ("/" if source.startswith("/") else ".")


def name_dataset(place: str) -> tuple[str, str]:
    """Return the namespace and the name of a path or URL, as OpenLineage names data sets."""
    if not _is_url(place):
        return "file", str(Path(place).absolute())
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/"


def _is_url(place: str) -> bool:
    return "://" in place


def _hide_secrets(place: str) -> str:
    """Return a path, or a URL without user and query."""
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if _is_url(place) else place
