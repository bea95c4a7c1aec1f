"""Find the page of a version, the file that training wrote into its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gamesales.data.files import replace_file
from gamesales.errors import UnknownVersionError
from gamesales.registry.bundle import REPORT_FILE
from gamesales.registry.refs import Ref
from gamesales.registry.registry import ModelRegistry
from gamesales.storage.store import LocalStore


@dataclass(frozen=True)
class VersionPageResult:
    """The page of a version. ``page`` is its path."""

    page: str
    model: str
    version: int
    digest: str
    registry: str


def find_version_page(registry: ModelRegistry, ref: Ref, page: Path | None = None) -> VersionPageResult:
    """Check the page of a version against the log, and return its path. The version may be retired.

    Args:
        registry: the registry of the model.
        ref: the version.
        page: where to copy the page. None: it stays in a registry on a disk. From an object store, it is copied to
            ``version-N.html`` in the current folder.

    Raises:
        UnknownVersionError: the files of the version were removed.
        IntegrityError: the version has no page, or the page was changed.
    """
    version = registry.find(registry.read_state(), ref, allow_retired=True)
    if registry.is_removed(version):
        raise UnknownVersionError(
            f"the page of version {version.number} of {registry.model} was removed with its other files after it was "
            "retired",
            hint=f"See its events in the log: {registry.format_command(f'show {version.number}')}",
        )
    bundle = registry.open_bundle(version)
    content = bundle.read(REPORT_FILE)
    if page is None and not isinstance(bundle.store, LocalStore):
        page = Path(f"version-{version.number}.html")
    if page is not None:
        with replace_file(page) as temporary:
            temporary.write_bytes(content)
    path = f"{bundle.location}/{REPORT_FILE}" if page is None else str(page)
    return VersionPageResult(path, registry.model, version.number, version.digest, registry.location)
