"""The calls that leave a registry as it is, and what all calls share."""

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
    from gamesales.jobs.history import EventList, VersionDetails
    from gamesales.jobs.predict import Prediction
    from gamesales.jobs.promote import AliasList
    from gamesales.jobs.sign import PolicyResult
    from gamesales.jobs.site import SiteResult
    from gamesales.jobs.version_page import VersionPageResult
    from gamesales.jobs.versions import VerificationResult, VersionList
    from gamesales.registry.registry import ModelRegistry

# A version: 4, "4", "game-earnings/4", "champion", "@champion" or "game-earnings@champion".
VersionRef = str | int
# A time: a date, a moment in UTC unless it has an offset, or either as text.
Time = str | date


class ReadOnlyRegistry:
    """The calls that leave a registry as it is. ``Registry`` has them too."""

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
        version = load(registry, parsed, public_key=to_path(require_signature))
        return Predictor(version, load_references(registry, version) if version.reference_titles else None)

    @expect_failures()
    def predict(
        self, title: Mapping[str, object], ref: VersionRef = f"@{CHAMPION}", *, explain: bool = False
    ) -> Prediction:
        """Predict the target of a single title, with its interval and what is unusual about it.

        For many titles, ``load`` the version once.

        Args:
            title: The value of each feature by its name, as a number, a boolean, text or a date. None, NaN and empty
                text are missing values. A feature that may be missing may be left out.
            ref: The version.
            explain: Whether to explain the prediction: how far each column moves it away from the mean.

        Returns:
            The prediction, its interval and its explanation, in the unit of the target.

        Raises:
            ColumnsError: Features are missing or misspelled. The message names all of them.
            InputError: A value breaks the contract.
            NoReferenceTitlesError: The version can't explain its predictions.
            TypeError: The title is no mapping.
        """
        from gamesales.jobs.predict import predict

        if not isinstance(title, Mapping):
            raise TypeError(
                f"expected the features of a single title as a mapping, received {type(title).__name__}; "
                f"for many titles: registry.load({ref!r}).predict(titles)"
            )
        return predict(*self._open(ref), title, explain=explain)

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

        return find_version_page(*self._open(ref), to_path(page))

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
        return write_site(self._path, choose_outputs(texts, to_path(job)), Path(folder))

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
    def list_aliases(self) -> AliasList:
        """List the version of each alias, when, by whom and why it was set, and the previous version.

        Raises:
            UnknownVersionError: The registry has no such model.
        """
        from gamesales.jobs.promote import list_aliases

        return list_aliases(self._open_model())

    @expect_failures()
    def show_policy(self) -> PolicyResult:
        """Return the policy that stands: whose keys may approve a promotion. Without a policy, ``approvals`` is 0.

        Raises:
            UnknownVersionError: The registry has no such model.
        """
        from gamesales.jobs.sign import show_policy

        return show_policy(self._open_model())

    def _open(self, ref: VersionRef) -> tuple[ModelRegistry, Ref]:
        return open_ref(self._path, str(ref), self._name)

    def _open_model(self) -> ModelRegistry:
        return open_registry(self._path, self._name)


def to_path(path: str | Path | None) -> Path | None:
    """Convert text to a path."""
    return None if path is None else Path(path)


def _to_text(time: Time | None) -> str | None:
    return time.isoformat() if isinstance(time, date) else time


def _parse_as_of(time: Time | None) -> str | None:
    from gamesales.registry.event import parse_time

    text = _to_text(time)
    return None if text is None else parse_time(text, "--as-of", is_end=True)
