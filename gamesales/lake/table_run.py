"""A scoring run into a table: score the shards that are not finished, count the rows, commit.

Nothing is locked. Any number of processes may run the same plan at once: they share its finished shards, and one of
them commits. Workers put the parts into the table's store themselves, and readers see them when the date is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa

from gamesales.data.remote_file import TablePath
from gamesales.errors import UsageError, collect_warnings
from gamesales.lake.columns import conform, make_table_schema, read_table_schema, require_predictions
from gamesales.lake.commit import DateTransaction, PartFile, commit_date, list_parts, read_transaction
from gamesales.lake.keys import STATE_FOLDER, RunKeys, create_report, find_attempt, page_key, start_attempt
from gamesales.lake.location import PARTITION, TableLocation, explain_store_errors
from gamesales.lake.results import read_report
from gamesales.lake.shards import (
    TableShardScorer,
    fetch_ids,
    read_ledger,
    require_files,
    scratch_paths,
)
from gamesales.lake.withheld import WithheldTableRun, find_withheld, write_withheld
from gamesales.scoring.duplicates import are_unique
from gamesales.scoring.engines import Engine
from gamesales.scoring.engines.local import run_shards
from gamesales.scoring.ledger import ShardResult
from gamesales.scoring.listing import InputRules
from gamesales.scoring.output import TABLE_LOG
from gamesales.scoring.parts import check_types
from gamesales.scoring.plan import MakePage, Plan, RunOptions
from gamesales.scoring.run import (
    check_report,
    find_too_many_rejects,
    is_acceptable,
    is_to_withhold,
    score_shards,
)
from gamesales.scoring.run_report import DuplicatesReport, FileReport, RunReport, format_report
from gamesales.scoring.run_summary import find_duplicates, make_report
from gamesales.scoring.scorer import LoadedVersion
from gamesales.scoring.shard import ShardPaths, ShardScorer, make_result_schema
from gamesales.storage.store import Store

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class TableOutput:
    """A date of a table: where the result of a run goes."""

    location: TableLocation
    run_date: date

    suffix = ".parquet"
    partition = PARTITION

    @property
    def name(self) -> str:
        """The result as people name it."""
        return str(self.location)

    @property
    def all(self) -> Sequence[Path | str]:
        """Everything that runs for any date write: the folder of the table, or its URL."""
        return [self.location.uri if self.location.folder is None else self.location.folder]

    def read_schema(self) -> pa.Schema | None:
        """Return the columns of the table; None if there is no table yet.

        Raises:
            UsageError: it is a table of another program, or something else is at its path.
        """
        folder = self.location.folder
        if folder is not None:
            _require_folder(folder)
        if folder is not None and not (folder / TABLE_LOG).is_dir() and any(folder.glob(f"{PARTITION}=*")):
            raise UsageError(
                f"--output {folder} has results of another kind; a vacuum of the table would remove them",
                hint="Give another --output",
            )
        self.location.open_store()  # checks the URL
        table = self.location.open_table()
        if table is None:
            return None
        require_predictions(table, self.location)
        return read_table_schema(table)

    def conform(self, passthrough: pa.Schema) -> pa.Schema:
        """Give the columns that a run copies the types that they have in the table. See ``columns.conform``."""
        return conform(passthrough, self.read_schema(), self.location)

    def check(self, inputs: Sequence[TablePath], schema: pa.Schema) -> None:
        """Check that the result can be written.

        Args:
            inputs: the files that the run reads.
            schema: the columns of the result.

        Raises:
            UsageError: an input is in the folder of the table.
            ColumnsError: a part can't hold the columns.
        """
        check_types(schema, self.suffix)
        rules = InputRules(outputs=self.all)
        for source in inputs:
            if rules.is_output(source):
                raise UsageError(f"{source} is in the table {self.location}", hint="Give another --output")


def _require_folder(folder: Path) -> None:
    """Check that the folder of a table can be made, if there is none."""
    part = next(part for part in (folder, *folder.parents) if part.exists() or part.is_symlink())
    if not part.is_dir():
        kind = "a file" if part.exists() else f"a link to {part.readlink()}, which does not exist"
        where = f"--output {folder}" if part == folder else f"--output {folder}: {part}"
        raise UsageError(f"{where} is {kind}; expected a folder", hint="Give another --output")


def score_into_table(
    plan: Plan,
    version: LoadedVersion,
    target: TableOutput,
    options: RunOptions,
    on_rows: Callable[[int], None] = lambda rows: None,
    run_shards: Engine = run_shards,
) -> RunReport:
    """Score every row of a plan and publish the result in one transaction, or withhold it because of drift.

    The arguments are those of ``scoring.run.score_files``, and so are the errors. In addition:

    Raises:
        TryAgainError: another run was published for the date meanwhile.
        ColumnsError: a column has another type than in the table.
    """
    started = datetime.now(UTC)
    target.check([source.table.path for source in plan.inputs], make_result_schema(plan, version))
    with ExitStack() as stack:
        stack.enter_context(explain_store_errors())
        warnings = stack.enter_context(collect_warnings())
        store = target.location.open_store()
        table = target.location.open_table()
        replaces = read_transaction(table, target.run_date)
        if not options.fresh and (done := _find_done(store, table, plan, target, options)):
            return done
        store.check_writable(STATE_FOLDER)
        table = table or target.location.create_table(make_table_schema(plan.passthrough))
        keys, is_resumed = start_attempt(store, target.run_date, plan.run_id, fresh=options.fresh)
        resumed = read_ledger(store, keys) if is_resumed else {}
        on_rows(sum(plan.shards[number].rows for number in resumed))
        allowed = options.limit.allowed(plan.rows)
        scorer = TableShardScorer(ShardScorer(plan, version, allowed, options.shadow), target.location, keys)
        paths = [scratch_paths(Path(), shard.number) for shard in plan.shards]  # each worker has a folder of its own
        results = score_shards(plan, scorer, paths, resumed, _ignore, _ignore, options, on_rows, run_shards)
        if error := find_too_many_rejects(plan, results, options, f"{target.location}/{keys.folder}"):
            raise error
        in_order = [results[shard.number] for shard in plan.shards]
        parts = [_find_part(keys, result) for result in in_order]
        report = make_report(
            plan,
            version,
            in_order,
            options,
            run_date=target.run_date,
            output=str(target.location),
            rejects=f"{target.location}/{keys.rejects}",
            files=[FileReport(Path(part.key).name, part.size) for part in parts],
            started=started,
            resumed=len(resumed),
            duplicates=_find_duplicates(plan, version, store, keys, in_order, options),
        )
        check_report(report, options)
        report = replace(report, warnings=list(warnings))
        run = WithheldTableRun(report, keys.attempt, replaces, plan.passthrough)
        if is_to_withhold(report, options):
            report = replace(report, is_withheld=True)
            write_withheld(store, target.run_date, replace(run, report=report))
            return report
        publish(store, table, target, keys, run, results, options.make_page)
    return replace(report, warnings=warnings)


def publish(
    store: Store,
    table: DeltaTable,
    target: TableOutput,
    keys: RunKeys,
    run: WithheldTableRun,
    results: dict[int, ShardResult],
    maker: MakePage | None = None,
) -> None:
    """Write the report of a complete run and its page, and commit its parts. ``table`` was opened when the run began.

    Raises:
        TryAgainError: files of the run are missing, or another run was published for the date.
    """
    require_files(store, keys, results)
    report = run.report
    number = create_report(store, target.run_date, report.run_id, format_report(report))
    if maker is not None:
        _write_page(store, target, report, number, maker)
    metadata = {
        "gamesales.run_id": report.run_id,
        "gamesales.run_date": report.run_date,
        "gamesales.model": report.model,
        "gamesales.model_version": str(report.model_version),
        "gamesales.bundle_sha256": report.bundle_sha256,
    }
    parts = [_find_part(keys, result) for _, result in sorted(results.items())]
    transaction = DateTransaction(
        target.run_date, report.run_id, number, run.replaces, parts, run.passthrough, metadata
    )
    commit_date(target.location, store, table, transaction)


def _write_page(store: Store, target: TableOutput, report: RunReport, number: int, maker: MakePage) -> None:
    from gamesales.lake.run_content import open_table_content  # only a run with a page needs it

    page = maker(report, open_table_content(target.location, report))
    if page is not None:
        store.create(page_key(target.run_date, number), page.encode())


def _find_done(
    store: Store, table: DeltaTable | None, plan: Plan, target: TableOutput, options: RunOptions
) -> RunReport | None:
    """Return the report of this run if it is published or withheld, within the limits of this run."""
    day, published = target.run_date, read_transaction(table, target.run_date)
    report = None if published is None else read_report(store, day, published)
    if table is not None and report is not None and report.run_id == plan.run_id:
        files = store.list_files(f"{PARTITION}={day}")
        is_whole = all(part.key in files and files[part.key].size == part.size for part in list_parts(table, day))
        return replace(report, already_done=True) if is_whole and is_acceptable(report, options) else None
    withheld = find_withheld(store, day, published)
    if withheld and withheld.report.run_id == plan.run_id and is_acceptable(withheld.report, options):
        return replace(withheld.report, already_done=True)
    return None


def _ignore(*_: object) -> None:
    """Do nothing when a shard is finished: its worker has put its files and entered it in the ledger."""


def _find_part(keys: RunKeys, result: ShardResult) -> PartFile:
    """Return the part of a shard. Its other files are in the folder of the run."""
    key, size = next((key, size) for key, size in result.files.items() if not key.startswith(f"{keys.folder}/"))
    return PartFile(key, size, result.rows_scored)


def _find_duplicates(
    plan: Plan, version: LoadedVersion, store: Store, keys: RunKeys, results: Sequence[ShardResult], options: RunOptions
) -> DuplicatesReport | None:
    """Count the duplicate ids of a run. If ranges do not tell, the hashes are copied to a temporary folder."""
    with TemporaryDirectory(prefix="gamesales-") as name:
        folder, local = Path(name), list(results)
        if plan.identity and not are_unique([result.id_range for result in results]):
            local = [fetch_ids(store, keys, number, result, folder) for number, result in enumerate(results)]
        paths: list[ShardPaths] = [scratch_paths(folder, shard.number) for shard in plan.shards]
        return find_duplicates(plan, version, paths, local, options)


def read_state(target: TableOutput, plan: Plan) -> tuple[RunReport | None, RunReport | None, int]:
    """Return the published and the withheld run of a date, and how many shards of this plan are finished."""
    with explain_store_errors():
        store, day = target.location.open_store(), target.run_date
        transaction = read_transaction(target.location.open_table(), day)
        published = None if transaction is None else read_report(store, day, transaction)
        withheld, keys = find_withheld(store, day, transaction), find_attempt(store, day, plan.run_id)
        resumed = 0 if keys is None else len(read_ledger(store, keys))
        return published, None if withheld is None else withheld.report, resumed
