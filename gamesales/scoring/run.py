"""A scoring run: score every input, count, publish.

Rows in must equal rows scored plus rows rejected, or nothing is published.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gamesales.errors import TooManyRejectsError, UsageError
from gamesales.scoring import commit, counts
from gamesales.scoring.counts import Counts, RejectLimit
from gamesales.scoring.parts import PartWriter, RejectsWriter, part_schema
from gamesales.scoring.plan import Input, Plan
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shard import score_input

_REJECTS = "rejects.csv"
_REPORT = "run.json"


@dataclass(frozen=True)
class Target:
    """Where a run's result goes: one file, or a folder of dated partitions."""

    path: Path
    day: date

    @property
    def is_file(self) -> bool:
        return self.path.suffix.lower() in (".csv", ".parquet")

    @property
    def place(self) -> Path:
        """What readers look at: the file, or the date's folder."""
        return self.path if self.is_file else self.path / f"run_date={self.day}"

    @property
    def work(self) -> Path:
        """The working folder, beside the result; in a folder of partitions its name hides it from readers."""
        name = f"{self.place.name}.work"
        return self.place.with_name(name if self.is_file else f".{name}")

    def beside(self, name: str) -> Path:
        """The place of a file that comes with a single-file result."""
        return self.path.with_name(f"{self.path.name}.{name}")

    @property
    def sidecars(self) -> Sequence[Path]:
        return [self.beside(_REJECTS), self.beside(_REPORT)] if self.is_file else []


@dataclass(frozen=True)
class RunReport:
    """What a run did, as ``_run.json`` holds it."""

    run_id: str
    run_date: str
    model: str
    model_version: int
    bundle_sha256: str
    output: str
    rejects: str | None
    rows_in: int
    rows_scored: int
    rows_rejected: int
    rows_outside_training_range: int
    inputs: list[dict[str, Any]]
    started: str
    seconds: float


def score_files(
    plan: Plan,
    version: LoadedVersion,
    target: Target,
    *,
    limit: RejectLimit,
    workers: int | None = None,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> RunReport:
    """Score every row of a plan and publish the result, whole or not at all.

    Args:
        plan: the files and the columns.
        version: what to score with.
        target: where to.
        limit: how many rows may be rejected.
        workers: threads that score; by default as many as there are cores.
        on_rows: called with the number of rows done since the last call.

    Raises: TooManyRejectsError: the rejects lie in the working folder. UsageError: the result would replace an
        input.
    """
    started = datetime.now(UTC)
    _check_target(plan, target)
    with commit.workspace(target.work) as work:
        if not target.is_file:
            commit.restore(target.place)
        made = work / "made"
        made.mkdir()
        threads = workers or _cores()
        if target.is_file:
            each = _score_to_file(plan, version, target, made, threads, on_rows)
        else:
            each = _score_to_folder(plan, version, made, threads, on_rows)
        total = sum(each, Counts())
        try:
            counts.check(total, limit, str(made / (_REJECTS if target.is_file else "_rejects")))
        except TooManyRejectsError:
            for part in made.glob("part*"):  # the rejects alone are worth keeping
                part.unlink()
            raise
        report = _report(plan, version, target, each, total, started)
        _publish(report, made, target)
    return report


def _cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_target(plan: Plan, target: Target) -> None:
    replaced = [path.resolve() for path in (target.place, target.work, *target.sidecars)]
    for one in plan.inputs:
        if any(one.table.path.resolve().is_relative_to(path) for path in replaced):
            raise UsageError(f"{one.table.path} is both input and output", hint="Give another --output")
    if target.is_file == target.path.is_dir() and target.path.exists():
        found = "a folder" if target.is_file else "a file"
        raise UsageError(
            f"--output {target.path} is {found}; .csv and .parquet mean one file, all else a folder",
            hint="Give another --output",
        )
    for path in target.sidecars:
        if path.is_dir():
            raise UsageError(f"{path} is a folder, where a file of this run belongs", hint="Give another --output")


def _score_to_file(
    plan: Plan,
    version: LoadedVersion,
    target: Target,
    made: Path,
    workers: int,
    on_rows: Callable[[int], None],
) -> list[Counts]:
    part_path = made / f"part{target.path.suffix.lower()}"
    with ExitStack() as stack:
        part = stack.enter_context(PartWriter(part_path, part_schema(plan.kept), _metadata(plan, version)))
        rejects = stack.enter_context(RejectsWriter(made / _REJECTS))
        return [
            score_input(one, plan.kept, version, part, rejects, workers=workers, on_rows=on_rows) for one in plan.inputs
        ]


def _score_to_folder(
    plan: Plan, version: LoadedVersion, made: Path, workers: int, on_rows: Callable[[int], None]
) -> list[Counts]:
    (made / "_rejects").mkdir()
    return [_score_part(number, one, plan, version, made, workers, on_rows) for number, one in enumerate(plan.inputs)]


def _score_part(
    number: int,
    one: Input,
    plan: Plan,
    version: LoadedVersion,
    made: Path,
    workers: int,
    on_rows: Callable[[int], None],
) -> Counts:
    name = f"part-{plan.run_id[:8]}-{number:05d}"
    with ExitStack() as stack:
        schema, metadata = part_schema(plan.kept), _metadata(plan, version)
        part = stack.enter_context(PartWriter(made / f"{name}.parquet", schema, metadata))
        rejects = stack.enter_context(RejectsWriter(made / "_rejects" / f"{name}.csv"))
        return score_input(one, plan.kept, version, part, rejects, workers=workers, on_rows=on_rows)


def _metadata(plan: Plan, version: LoadedVersion) -> dict[str, str]:
    """What a Parquet part says of itself."""
    return {
        "gamesales.run_id": plan.run_id,
        "gamesales.model": version.model,
        "gamesales.model_version": str(version.number),
        "gamesales.bundle_sha256": version.digest,
    }


def _report(
    plan: Plan,
    version: LoadedVersion,
    target: Target,
    each: Sequence[Counts],
    total: Counts,
    started: datetime,
) -> RunReport:
    rejects = target.beside(_REJECTS) if target.is_file else target.place / "_rejects"
    inputs = [
        {
            "name": one.name,
            "size": one.size,
            "sha256": one.sha256,
            "rows": count.rows_in,
            "rejected": count.rows_rejected,
        }
        for one, count in zip(plan.inputs, each, strict=True)
    ]
    return RunReport(
        run_id=plan.run_id,
        run_date=target.day.isoformat(),
        model=version.model,
        model_version=version.number,
        bundle_sha256=version.digest,
        output=str(target.place),
        rejects=str(rejects) if total.rows_rejected else None,
        rows_in=total.rows_in,
        rows_scored=total.rows_scored,
        rows_rejected=total.rows_rejected,
        rows_outside_training_range=total.rows_outside_training_range,
        inputs=inputs,
        started=started.isoformat(timespec="seconds"),
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
    )


def _publish(report: RunReport, made: Path, target: Target) -> None:
    content = json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n"
    if not target.is_file:
        (made / "_run.json").write_text(content, encoding="utf-8")
        (made / "_SUCCESS").touch()
        commit.publish_folder(made, target.place)
        return
    (made / _REPORT).write_text(content, encoding="utf-8")
    commit.publish_file(
        made / f"part{target.path.suffix.lower()}",
        target.path,
        (made / _REJECTS if report.rows_rejected else None, target.beside(_REJECTS)),
        (made / _REPORT, target.beside(_REPORT)),
    )
