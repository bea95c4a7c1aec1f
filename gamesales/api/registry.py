"""The commands on the versions of a registry, as methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gamesales.api.read_only import ReadOnlyRegistry, VersionRef, to_path
from gamesales.errors import expect_failures
from gamesales.jobs.loading import open_registry
from gamesales.registry.refs import CHAMPION

if TYPE_CHECKING:
    from gamesales.jobs.copy import CopyResult
    from gamesales.jobs.evaluate import EvaluationResult
    from gamesales.jobs.export import ExportResult
    from gamesales.jobs.promote import AliasDeletion, Promotion
    from gamesales.jobs.retention import CollectionResult, RetirementResult
    from gamesales.jobs.sign import PolicyResult, SignatureResult


class Registry(ReadOnlyRegistry):
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
            public_key=to_path(require_signature),
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
