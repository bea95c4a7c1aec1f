"""The commands on the versions of a registry, as methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from gamesales.errors import expect_failures
from gamesales.jobs.loading import open_ref, open_registry
from gamesales.registry.refs import CHAMPION, DEFAULT_MODEL, DEFAULT_REGISTRY, Ref

if TYPE_CHECKING:
    from gamesales.api.predictor import Predictor
    from gamesales.jobs.compare import VersionComparison
    from gamesales.jobs.copy import CopyResult
    from gamesales.jobs.evaluate import EvaluationResult
    from gamesales.jobs.export import ExportResult
    from gamesales.jobs.history import EventList, VersionDetails
    from gamesales.jobs.predict import Prediction
    from gamesales.jobs.promote import AliasDeletion, AliasList, Promotion
    from gamesales.jobs.retention import CollectionResult, RetirementResult
    from gamesales.jobs.sign import PolicyResult, SignatureResult
    from gamesales.jobs.site import SiteResult
    from gamesales.jobs.version_page import VersionPageResult
    from gamesales.jobs.versions import VerificationResult, VersionList
    from gamesales.registry.registry import ModelRegistry

# A version: 4, "4", "game-earnings/4", "champion", "@champion" or "game-earnings@champion".
VersionRef = str | int
# A time: a date, a moment in UTC unless it has an offset, or either as text.
Time = str | date


class Registry:
    """A registry of versions, on disk or in an object store.

    A method has the name of its command, and its arguments have the names of the options. ``ref`` is a version: ``4``,
    ``"game-earnings/4"``, ``"@champion"`` or ``"game-earnings@champion"``. A time is a date, a moment, or either as
    text, in UTC unless it has an offset.

    An object holds only the path and the name. Each call reads the log again, so threads and processes may use the same
    registry at the same time, also to write. Any method raises ``RegistryError`` if the registry can't be read,
    ``UsageError`` for a wrong argument, and ``TryAgainError`` if the store does not answer.

    Args:
        path: The folder or URL of the registry.
        name: The model of references that name none.
    """

    def __init__(self, path: str | Path = DEFAULT_REGISTRY, name: str = DEFAULT_MODEL) -> None:
        self._path = path
        self._name = name

    def __repr__(self) -> str:
        return f"Registry({str(self._path)!r}, name={self._name!r})"

    @property
    def path(self) -> str | Path:
        """The folder or URL of the registry."""
        return self._path

    @property
    def name(self) -> str:
        """The model of references that name none."""
        return self._name

    @expect_failures()
    def load(self, ref: VersionRef, *, require_signature: str | Path | None = None) -> Predictor:
        """Load a version, check its bytes and reproduce its golden rows.

        Args:
            ref: The version.
            require_signature: A public key that must have signed the promotion of the version, or its use.

        Raises:
            UnknownVersionError: The registry has no such model or version.
            NothingPromotedError: The alias names no version.
            IntegrityError: Bytes differ from the digest in the log.
            SelfTestError: The golden rows do not reproduce on this machine.
            NotApprovedError: The key has signed neither.
        """
        from gamesales.api.predictor import Predictor
        from gamesales.jobs.loading import load, load_references

        registry, parsed = self._open(ref)
        version = load(registry, parsed, public_key=_to_path(require_signature))
        return Predictor(version, load_references(registry, version) if version.reference_titles else None)

    @expect_failures()
    def predict(
        self, title: Mapping[str, object], ref: VersionRef = f"@{CHAMPION}", *, explain: bool = False
    ) -> Prediction:
        """Predict the target of a single title, with its interval and what is unusual about it.

        For many titles, ``load`` the version once.

        Args:
            title: The value of each feature by its name, as a number, a boolean or text.
            ref: The version.
            explain: Whether to explain the prediction: how far each column moves it away from the mean.

        Returns:
            The prediction, its interval and its explanation, in the unit of the target.

        Raises:
            ColumnsError: Features are missing or misspelled. The message names all of them.
            InputError: A value breaks the contract.
            NoReferenceTitlesError: The version can't explain its predictions.
        """
        from gamesales.jobs.predict import predict

        texts = {name: "" if value is None else str(value) for name, value in title.items()}
        return predict(*self._open(ref), texts, explain=explain)

    @expect_failures()
    def versions(
        self,
        *,
        alias: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        by: str | None = None,
        where: str | Sequence[str] = (),
        retired: bool = False,
        sort: str = "version",
        reverse: bool = False,
        limit: int | None = None,
        as_of: Time | None = None,
    ) -> VersionList:
        """List the versions in use, newest first, with their metrics on the same file.

        Args:
            alias: Only the version that this alias names.
            since: Only versions registered from this time.
            until: Only versions registered up to this time.
            by: Only versions that this person registered.
            where: Conditions on the metrics, such as ``"mae<5000"``, in the unit of the target. All must hold.
            retired: Whether to list retired versions too.
            sort: ``version``, ``registered``, ``mae``, ``rmse``, ``scaled_mse``, ``r2`` or ``mape``, newest or best
                first.
            reverse: Whether to list the oldest or worst first.
            limit: The most versions to list.
            as_of: List the versions as they were at this time.

        Raises:
            UnknownVersionError: The registry has no such model.
        """
        from gamesales.jobs.versions import VersionFilter, list_versions, parse_condition
        from gamesales.registry.event import parse_span

        first, last = parse_span(_to_text(since), _to_text(until))
        version_filter = VersionFilter(
            alias=alias,
            since=first,
            until=last,
            actor=by,
            retired=retired,
            where=tuple(map(parse_condition, [where] if isinstance(where, str) else where)),
            order=sort,
            is_reversed=reverse,
            limit=limit,
            as_of=_parse_as_of(as_of),
        )
        return list_versions(self._open_model(), version_filter)

    @expect_failures()
    def show(self, ref: VersionRef, *, as_of: Time | None = None) -> VersionDetails:
        """Return all that the registry has about a version, its manifest included.

        Args:
            ref: The version. It may be retired.
            as_of: Show the version, and resolve an alias, as of this time.

        Raises:
            UnknownVersionError: The registry has no such model or version.
            IntegrityError: The manifest was changed.
        """
        from gamesales.jobs.history import show

        return show(*self._open(ref), _parse_as_of(as_of))

    @expect_failures()
    def history(
        self,
        *,
        alias: str | None = None,
        version: int | None = None,
        kind: str | None = None,
        by: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        limit: int | None = None,
    ) -> EventList:
        """List who did what, when, why and on what evidence, newest first.

        Args:
            alias: Only events that set or delete this alias.
            version: Only events about this version.
            kind: Only events of a kind such as ``alias.set``, or of a group such as ``alias``.
            by: Only events by this person.
            since: Only events from this time.
            until: Only events up to this time.
            limit: The most events to list.

        Raises:
            UnknownVersionError: The registry has no such model.
        """
        from gamesales.jobs.history import EventFilter, list_events
        from gamesales.registry.event import parse_span

        event_filter = EventFilter(alias, version, kind, by, *parse_span(_to_text(since), _to_text(until)), limit)
        return list_events(self._open_model(), event_filter)

    @expect_failures()
    def report(self, ref: VersionRef, page: str | Path | None = None) -> VersionPageResult:
        """Check the page of a version against the log, and return its path.

        Args:
            ref: The version. It may be retired.
            page: Where to copy the page. None: it stays in a registry on a disk. From an object store, it is copied to
                ``version-N.html``.

        Raises:
            UnknownVersionError: The files of the version were removed.
            IntegrityError: The version has no page, or the page was changed.
        """
        from gamesales.jobs.version_page import find_version_page

        return find_version_page(*self._open(ref), _to_path(page))

    @expect_failures()
    def report_site(
        self,
        folder: str | Path,
        outputs: str | Path | Sequence[str | Path] = (),
        *,
        job: str | Path | None = None,
    ) -> SiteResult:
        """Write a site about all models, versions and runs, or bring it up to date.

        Args:
            folder: A folder that holds a site or nothing, or that does not exist.
            outputs: The outputs of ``score``. Empty: that of the job.
            job: The job file. Without outputs and job, ``jobs/score.toml`` if it exists.

        Raises:
            UsageError: The folder holds other files.
            InputNotFoundError: An output has no runs.
            IntegrityError: The log of a model was changed. The site stays as it is.
        """
        from gamesales.jobs.runs import choose_outputs
        from gamesales.jobs.site import write_site

        texts = [str(outputs)] if isinstance(outputs, (str, Path)) else [str(output) for output in outputs]
        return write_site(self._path, choose_outputs(texts, _to_path(job)), Path(folder))

    @expect_failures()
    def compare(self, first: VersionRef, second: VersionRef, *, everything: bool = False) -> VersionComparison:
        """Compare two versions: data, metrics on the same titles, network, contract, software and files.

        Args:
            first: A version. It may be retired.
            second: Another version, of the same model or of another.
            everything: Whether to list equal values too.

        Raises:
            UnknownVersionError: The registry has no such version, or the files of a version were removed.
        """
        from gamesales.jobs.compare import compare

        return compare(self._open(first), self._open(second), everything=everything)

    @expect_failures()
    def verify(self, ref: VersionRef | None = None) -> VerificationResult:
        """Check every event of the log and every file of the bundles against their digests.

        Args:
            ref: The version. None checks all versions.

        Raises:
            IntegrityError: An event or a file was changed. The message names the first.
        """
        from gamesales.jobs.versions import verify

        return verify(self._open_model()) if ref is None else verify(*self._open(ref))

    @expect_failures()
    def evaluate(self, ref: VersionRef, data: str | Path, *, reason: str = "") -> EvaluationResult:
        """Measure the errors of a version on titles that it was not trained on, and record the metrics.

        Args:
            ref: The version.
            data: A CSV or Parquet file of titles with the target, or its URL.
            reason: Why, for the log.

        Returns:
            The metrics in the unit of the target, with 95% confidence intervals.

        Raises:
            InputError: The file can't be used, or the version was trained on it.
        """
        from gamesales.jobs.evaluate import evaluate

        return evaluate(*self._open(ref), str(data), reason=reason)

    @expect_failures()
    def promote(
        self,
        ref: VersionRef,
        *,
        alias: str = CHAMPION,
        reason: str = "",
        holdout: str | Path | None = None,
        require_signature: str | Path | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Promotion:
        """Make a version the champion, which scores from now on, if the gate accepts it.

        Args:
            ref: The version.
            alias: The alias to set. The gate guards only the champion.
            reason: Why, for the log.
            holdout: Compare on the titles of this file or URL instead of the test titles of training.
            require_signature: A public key that must have signed the promotion.
            force: Whether to override the gate. It needs a reason.
            dry_run: Whether to ask the gate and change nothing.

        Raises:
            GateRefusedError: The gate refuses. ``evidence`` has the comparison with the champion.
            NotApprovedError: The key, or the keys of the policy, have not signed the promotion.
            IntegrityError: The files of the version were changed.
            SelfTestError: The golden rows do not reproduce on this machine.
            InputError: The file ``holdout`` can't be used.
        """
        from gamesales.jobs.promote import promote

        return promote(
            *self._open(ref),
            alias=alias,
            reason=reason,
            force=force,
            dry_run=dry_run,
            holdout=None if holdout is None else str(holdout),
            public_key=_to_path(require_signature),
        )

    @expect_failures()
    def rollback(self, *, alias: str = CHAMPION, reason: str = "", dry_run: bool = False) -> Promotion:
        """Set an alias back to its previous version. A second rollback goes back one more version.

        Args:
            alias: The alias.
            reason: Why, for the log.
            dry_run: Whether to find and check the previous version, and change nothing.

        Raises:
            NothingPromotedError: The alias has no previous version.
            IntegrityError: The files of the previous version were changed.
            NotApprovedError: The keys of the policy have not signed.
        """
        from gamesales.jobs.promote import roll_back

        return roll_back(self._open_model(), alias=alias, reason=reason, dry_run=dry_run)

    @expect_failures()
    def retire(self, ref: VersionRef, reason: str) -> RetirementResult:
        """Retire a version for good. Its history stays.

        Args:
            ref: The version. No alias may name it.
            reason: Why, for the log.

        Raises:
            UsageError: The reason is empty, or an alias names the version.
        """
        from gamesales.jobs.retention import retire

        return retire(*self._open(ref), reason)

    @expect_failures()
    def set_alias(self, alias: str, ref: VersionRef, *, reason: str = "") -> Promotion:
        """Set an alias to a version, after checking its files. Only ``promote`` sets the champion.

        Args:
            alias: Letters, digits and underscores, such as ``challenger``.
            ref: The version.
            reason: Why, for the log.

        Raises:
            UsageError: The alias is ``champion``, or can't be an alias.
            IntegrityError: The files of the version were changed.
        """
        from gamesales.jobs.promote import set_alias

        registry, parsed = self._open(ref)
        return set_alias(registry, alias, parsed, reason)

    @expect_failures()
    def delete_alias(self, alias: str, *, reason: str = "") -> AliasDeletion:
        """Delete an alias. Deleting the champion needs a reason, because nothing scores without a champion.

        Args:
            alias: The alias.
            reason: Why, for the log.

        Raises:
            NothingPromotedError: There is no such alias.
            UsageError: The alias is ``champion``, and the reason is empty.
        """
        from gamesales.jobs.promote import delete_alias

        return delete_alias(self._open_model(), alias, reason)

    @expect_failures()
    def list_aliases(self) -> AliasList:
        """List the version of each alias, when, by whom and why it was set, and the previous version.

        Raises:
            UnknownVersionError: The registry has no such model.
        """
        from gamesales.jobs.promote import list_aliases

        return list_aliases(self._open_model())

    @expect_failures()
    def sign(
        self, ref: VersionRef, key: str | Path, *, alias: str = CHAMPION, use: bool = False, reason: str = ""
    ) -> SignatureResult:
        """Sign the promotion of a version to an alias, or the use of the version by its number.

        Args:
            ref: The version.
            key: The private key, a PEM file. The environment variable GAMESALES_KEY_PASSWORD unlocks it.
            alias: The alias of the promotion.
            use: Whether to sign the use of the version instead of a promotion.
            reason: Why, for the log.

        Raises:
            UsageError: The key can't be used.
        """
        from gamesales.jobs.sign import sign_promotion, sign_use

        registry, parsed = self._open(ref)
        if use:
            return sign_use(registry, parsed, Path(key), reason)
        return sign_promotion(registry, parsed, alias, Path(key), reason)

    @expect_failures()
    def show_policy(self) -> PolicyResult:
        """Return the policy that stands: whose keys may approve a promotion. Without a policy, ``approvals`` is 0.

        Raises:
            UnknownVersionError: The registry has no such model.
        """
        from gamesales.jobs.sign import show_policy

        return show_policy(self._open_model())

    @expect_failures()
    def sign_policy(self, file: str | Path, key: str | Path, *, reason: str = "") -> SignatureResult:
        """Approve that the policy in a file replaces the policy that stands.

        Args:
            file: The policy, a TOML file.
            key: The private key, a PEM file. The environment variable GAMESALES_KEY_PASSWORD unlocks it.
            reason: Why, for the log.

        Raises:
            UsageError: The file is not a policy, or the key can't be used.
        """
        from gamesales.jobs.sign import sign_policy

        return sign_policy(self._open_model(), Path(file), Path(key), reason)

    @expect_failures()
    def set_policy(self, file: str | Path, *, reason: str = "") -> PolicyResult:
        """Set the policy. The policy that stands decides which approvals this needs.

        Args:
            file: The policy, a TOML file.
            reason: Why, for the log.

        Raises:
            NotApprovedError: Approvals of the policy that stands are missing.
            UsageError: The file is not a policy.
        """
        from gamesales.jobs.sign import set_policy

        return set_policy(self._open_model(), Path(file), reason)

    @expect_failures()
    def export(
        self,
        ref: VersionRef,
        format: str,  # noqa: A002 - the name of the option
        output: str | Path,
        *,
        force: bool = False,
    ) -> ExportResult:
        """Write a version for other programs, with raw columns as input and the target as output.

        Args:
            ref: The version.
            format: ``keras``, ``h5``, ``onnx``, ``savedmodel`` or ``tfserving``.
            output: The file or folder to write. For ``tfserving``, the folder of the model.
            force: Whether to replace an existing export.

        Raises:
            UsageError: The format is unknown, or the output exists.
            ParityError: The export does not predict what the version predicts. Nothing is written.
        """
        from gamesales.jobs.export import export

        return export(*self._open(ref), format, Path(output), force=force)

    @expect_failures()
    def copy(self, ref: VersionRef, to: str | Path, *, reason: str = "") -> CopyResult:
        """Copy a version to another registry, with its evaluations. Its alias is not copied.

        Args:
            ref: The version.
            to: The folder or URL of the other registry.
            reason: Why, for the log of the other registry.

        Raises:
            UnknownVersionError: The registry has no such version, or it is retired.
            IntegrityError: A file or an event was changed.
        """
        from gamesales.jobs.copy import copy_version

        source, parsed = self._open(ref)
        return copy_version(source, parsed, open_registry(to, source.model), reason)

    @expect_failures()
    def gc(
        self,
        *,
        keep_newest: int | None = None,
        keep_days: int | None = None,
        orphan_days: int | None = None,
        dry_run: bool = False,
    ) -> CollectionResult:
        """Retire versions that are no longer needed, and remove their files without asking. Their history stays.

        Args:
            keep_newest: How many of the newest versions to keep. None: 10.
            keep_days: Keep versions that an alias named in the last days. None: 400.
            orphan_days: After how many days files that no event names are removed. None: 7.
            dry_run: Whether to find the garbage and change nothing.

        Raises:
            UnknownVersionError: The registry has no such model.
        """
        from gamesales.jobs.retention import Retention, collect_garbage

        values = {"newest": keep_newest, "alias_days": keep_days, "orphan_days": orphan_days}
        retention = Retention(**{name: value for name, value in values.items() if value is not None})
        return collect_garbage(self._open_model(), retention, dry_run=dry_run)

    def _open(self, ref: VersionRef) -> tuple[ModelRegistry, Ref]:
        return open_ref(self._path, str(ref), self._name)

    def _open_model(self) -> ModelRegistry:
        return open_registry(self._path, self._name)


def _to_path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _to_text(time: Time | None) -> str | None:
    return time.isoformat() if isinstance(time, date) else time


def _parse_as_of(time: Time | None) -> str | None:
    from gamesales.registry.event import parse_time

    text = _to_text(time)
    return None if text is None else parse_time(text, "--as-of", is_end=True)
