"""What accompanies a scoring run: its exit code, the metrics file, lineage, and the hook of the job."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

from gamesales.errors import EXIT_CONDITION_NOT_MET, EXIT_INTERRUPTED, EXIT_WITHHELD, convert_error
from gamesales.jobs.score_job import ScoreJob
from gamesales.scoring.run_report import RunReport

# The line that explains an exit code describes at most this many columns.
_SHOWN_COLUMNS = 3
OnLine = Callable[[str], None]


def get_exit_code(job: ScoreJob, report: RunReport) -> int:
    """Return the exit code of a run: 8 if it is withheld, 6 if a column drifted and drift fails the job, or 0."""
    if report.is_withheld:
        return EXIT_WITHHELD
    drifted = report.drift is not None and bool(report.drift.drifted)
    return EXIT_CONDITION_NOT_MET if job.drift_action == "fail" and drifted else 0


def explain_exit_code(job: ScoreJob, report: RunReport) -> str:
    """Explain in a line why a run ends with exit code 6 or 8. For 8, the line before it says how to publish."""
    code, day = get_exit_code(job, report), report.run_date
    drifted = [column for column in report.drift.columns if column.drifted] if report.drift else []
    why = "; ".join(column.change or column.column for column in drifted[:_SHOWN_COLUMNS])
    more = f"; and {len(drifted) - _SHOWN_COLUMNS} more" if len(drifted) > _SHOWN_COLUMNS else ""
    if code == EXIT_CONDITION_NOT_MET:
        return f"exit code {code}: {day} is published, but titles have drifted: {why}{more}"
    form = f" --format {job.format}" if job.format else ""
    release = f'gamesales score --output {shlex.quote(str(job.output))}{form} --release {day} --reason "…"'
    return f"to publish {day}: {release}\nexit code {code}: {day} is withheld, because titles have drifted: {why}{more}"


def write_metrics(job: ScoreJob, exit_code: int, report: RunReport | None = None) -> None:
    """Write the metrics file of the job, if it has one.

    Args:
        job: Whose file is written.
        exit_code: Of the run.
        report: Of the run, if it published a result.
    """
    if job.metrics_file is not None:
        from gamesales.report import prometheus

        model, document = (job.ref.model, None) if report is None else (report.model, asdict(report))
        prometheus.write_metrics(job.metrics_file, model, exit_code, datetime.now(UTC), document)


@contextmanager
def write_metrics_at_end(job: ScoreJob) -> Iterator[list[RunReport]]:
    """Write the metrics file when the body ends or fails. The body adds the report of its run to the list."""
    reports: list[RunReport] = []
    exit_code = 0
    try:
        yield reports
        exit_code = get_exit_code(job, reports[0])
    except BaseException as error:
        failure = convert_error(error) if isinstance(error, Exception) else error
        exit_code = getattr(failure, "exit_code", EXIT_INTERRUPTED)
        raise
    finally:
        write_metrics(job, exit_code, next((report for report in reports if not report.is_withheld), None))


@contextmanager
def report_lineage(job: ScoreJob, location: str | Path, day: date, reports: Sequence[RunReport]) -> Iterator[None]:
    """Report the start and the end of the body to OpenLineage, if the job wants it.

    Args:
        job: What is scored.
        location: The path or URL of the registry.
        day: The date of the run.
        reports: To which the body adds the report of its run.
    """
    if job.lineage is None:
        yield
        return
    from gamesales.jobs.lineage import open_lineage

    run = open_lineage(job, location, day)
    run.start()
    try:
        yield
    except Exception as error:
        run.fail(convert_error(error).message)
        raise
    except BaseException:
        run.abort()
        raise
    code = get_exit_code(job, reports[0])
    if code == EXIT_WITHHELD:
        run.fail(explain_exit_code(job, reports[0]))
    else:
        run.complete(reports[0], code)


def run_hook(job: ScoreJob, report: RunReport, exit_code: int, on_line: OnLine) -> None:
    """Run ``on_success`` after exit code 0, or else ``on_failure``, if the job has this hook.

    Args:
        job: Whose hook is run.
        report: Of the run.
        exit_code: Of the run.
        on_line: Called with each line that the hook prints.
    """
    name, command = ("on_failure", job.on_failure) if exit_code else ("on_success", job.on_success)
    if command:
        from gamesales.jobs import run_hooks

        document = run_hooks.describe_run(report, exit_code, explain_exit_code(job, report) if exit_code else "")
        run_hooks.run_hook(name, command, document, job.hook_timeout, on_line)


@contextmanager
def run_hook_on_failure(job: ScoreJob, day: date, on_line: OnLine) -> Iterator[None]:
    """Run ``on_failure`` if the body fails. A person who interrupts a run knows it, so no hook is run."""
    try:
        yield
    except Exception as error:
        if job.on_failure:
            from gamesales.jobs import run_hooks

            document = run_hooks.describe_failure(convert_error(error), job.ref.model, day, str(job.output))
            run_hooks.run_hook("on_failure", job.on_failure, document, job.hook_timeout, on_line)
        raise
