"""Withhold a complete run because of drift, and release it.

    WORK/run-<token>/withheld.json      the report of the run, and the digests of its files

A withheld run stays in its working folder. It is withheld from the moment that ``withheld.json`` exists: everything
else is on the disk before. A release publishes exactly the rows that were scored.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from gamesales.data.files import fsync, hash_file
from gamesales.errors import InputError, UsageError
from gamesales.old_keys import drop_old_keys
from gamesales.scoring.commit import recover_folder
from gamesales.scoring.ledger import WITHHELD, read_ledger
from gamesales.scoring.output import OutputPaths, open_output
from gamesales.scoring.parts import UNFINISHED
from gamesales.scoring.run_report import Release, RunReport, format_report, parse_report, read_report, report_files
from gamesales.scoring.workspace import open_workspace

if TYPE_CHECKING:
    from gamesales.scoring.plan import MakePage
    from gamesales.scoring.run_content import RunContent

_REDO_HINT = "Score the date again with --fresh"
_SHOWN_FILES = 3


@dataclass(frozen=True)
class WithheldRun:
    """A withheld run.

    Attributes:
        report: its report.
        replaces: the id of the run that was published for its date at that time; None if there was none.
        files: path below the working folder to sha256 of each file of its shards.
        schema: the columns of its result.
        metadata: the metadata of its parts.
    """

    report: RunReport
    replaces: str | None
    files: Mapping[str, str]
    schema: pa.Schema
    metadata: Mapping[str, str]

    def write(self, work: Path) -> None:
        """Mark a run as withheld. All of its files are on the disk before the mark is."""
        content = {
            "report": json.loads(format_report(self.report)),
            "replaces": self.replaces,
            "files": dict(self.files),
            "schema": base64.b64encode(self.schema.serialize().to_pybytes()).decode(),
            "metadata": dict(self.metadata),
        }
        for path in work.rglob("*"):
            fsync(path)
        temporary = work / f"{WITHHELD}.tmp"
        temporary.write_text(json.dumps(content), encoding="utf-8")
        fsync(temporary)
        os.replace(temporary, work / WITHHELD)
        fsync(work)


def read_withheld(work: Path) -> WithheldRun | None:
    """Read the withheld run in a run's folder; None if the run is not withheld.

    Raises:
        InputError: the mark can't be read.
    """
    try:
        document = json.loads((work / WITHHELD).read_bytes())
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(document["schema"])))
        report = parse_report(drop_old_keys(document["report"]))
        return WithheldRun(report, document["replaces"], document["files"], schema, document["metadata"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, LookupError, AttributeError, pa.ArrowException) as error:
        raise InputError(f"{work / WITHHELD} can't be read: {error}", hint=_REDO_HINT) from None


def find_withheld(target: OutputPaths) -> WithheldRun | None:
    """Find the withheld run of a result, without locking its working folder."""
    for mark in sorted(target.work.glob(f"*/{WITHHELD}")):
        return read_withheld(mark.parent)
    return None


def hash_files(work: Path) -> dict[str, str]:
    """Return the sha256 of each file of the finished shards, by its path below the working folder."""
    names = sorted(name for result in read_ledger(work).values() for name in result.files)
    return {name: hash_file(work / name) for name in names}


def make_page(
    maker: MakePage | None, report: RunReport, target: OutputPaths, files: Sequence[Path], rejects: Sequence[Path]
) -> str | None:
    """Make the page of a complete result that is not published yet; None if it has no page.

    ``files`` and ``rejects`` have its rows and its rejects.
    """
    if maker is None:
        return None
    from gamesales.scoring.run_content import open_files  # only a run with a page needs it

    return maker(report, open_files(files, rejects, target.suffix))


def open_withheld_content(target: OutputPaths) -> RunContent:
    """Open the rows and the rejects of a withheld run.

    Raises:
        UsageError: no run is withheld.
    """
    from gamesales.scoring.run_content import open_files

    run, work = next(
        (
            (run, mark.parent)
            for mark in sorted(target.work.glob(f"*/{WITHHELD}"))
            if (run := read_withheld(mark.parent))
        ),
        (None, target.work),
    )
    if run is None:
        raise _make_nothing_withheld_error(target)
    names = [name for _, result in sorted(read_ledger(work).items()) for name in result.files]
    rows = [work / name for name in names if name.endswith(f"{target.suffix}{UNFINISHED}") and ".rejects." not in name]
    rejects = [work / name for name in names if "rejects" in name]
    return open_files(rows, rejects, target.suffix, run.schema.names)


def release_run(target: OutputPaths, release: Release, maker: MakePage | None = None) -> RunReport:
    """Publish the withheld run of a result as it was scored.

    Args:
        target: the result.
        release: by whom, when and why.
        maker: makes the page of the run; None: the result has no page.

    Raises:
        UsageError: no run is withheld, or another run was published since.
        InputError: the files of the run were changed.
        TryAgainError: another run writes this result.
    """
    target.check([], pa.schema([]))
    withheld = find_withheld(target)
    if withheld is None:
        raise _make_nothing_withheld_error(target)
    with open_workspace(target.work, withheld.report.run_id, fresh=False) as workspace:
        work = workspace.folder
        if not target.is_file:
            recover_folder(target.visible, work, withheld.report.run_id)
        published = read_report(target)
        if published and published.run_id == withheld.report.run_id != withheld.replaces:
            (work / WITHHELD).unlink()  # an earlier release was killed when it had published the run
            return published
        _require_not_replaced(withheld, target, published)
        _require_unchanged(withheld, work)
        report = replace(withheld.report, is_withheld=False, release=release)
        with open_output(target, work, withheld.report.run_id, withheld.schema, withheld.metadata) as output:
            for number in sorted(read_ledger(work)):
                output.add(number)
            # The pieces of an earlier release are encoded again, so the size may differ.
            files = output.close()
            report = replace(report, files=report_files(target, files))
            page = make_page(maker, report, target, files, output.list_rejects())
            output.publish(format_report(report), workspace.confirm, page)
        (work / WITHHELD).unlink()
    return report


def _make_nothing_withheld_error(target: OutputPaths) -> UsageError:
    message = f"no run of {target.run_date} is withheld for {target.visible}"
    published = read_report(target)
    if published and published.release:
        message += f"; {published.release.actor} released it at {published.release.time}"
    return UsageError(message, hint=f"Check --output and the date: gamesales score --dry-run --date {target.run_date}")


def _require_not_replaced(withheld: WithheldRun, target: OutputPaths, published: RunReport | None) -> None:
    """Raise UsageError if another run was published after this run was withheld."""
    if published and published.run_id != withheld.replaces:
        raise UsageError(
            f"run {withheld.report.run_id[:8]} of {target.run_date} was withheld, and then {target.visible} changed: "
            f"found run {published.run_id[:8]} of {published.started}; nothing was published",
            hint=_REDO_HINT,
        )


def _require_unchanged(withheld: WithheldRun, work: Path) -> None:
    """Raise InputError if a file of the run differs from its digest."""
    present = hash_files(work)
    names = sorted({*present, *withheld.files})
    changed = [name for name in names if present.get(name) != withheld.files.get(name)]
    if changed:
        raise InputError(
            f"the withheld run in {work.parent} was changed: {', '.join(changed[:_SHOWN_FILES])}; "
            "nothing was published",
            hint=_REDO_HINT,
        )
