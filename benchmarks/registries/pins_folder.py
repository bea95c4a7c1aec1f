"""pins with a board in a folder: a version is a pin's, named by its second and its hash, as ``pin_write`` names it.

pins has no aliases: a pin of its own, kept unversioned, holds the version that the alias names. Contents never repeat
here, so it need not read the newest version first to see whether they do (``force_identical_write``).
"""

from __future__ import annotations

from pathlib import Path

LABEL = "pins, a folder"
ENVIRONMENT = "pins"
IMPORTS = ("pins", "pandas")
NUMBERED = False
MODEL = "game-earnings"


class Registry:
    """A pin for the versions, and one for each alias."""

    def __init__(self, place: Path) -> None:
        from pins import board_folder

        place.mkdir(parents=True, exist_ok=True)
        self._board = board_folder(str(place))

    def create(self) -> None:
        """Need nothing: the first version makes its folders."""

    def publish(self, token: str) -> str:
        return self._write(MODEL, {"token": token}, versioned=True)

    def set_alias(self, alias: str, version: str) -> None:
        self._write(alias, {"version": version}, versioned=False)

    def resolve(self, alias: str) -> str:
        named = self._board.pin_read(alias)["version"]
        return str(self._board.pin_meta(MODEL, named).version.version)

    def versions(self) -> list[str]:
        return list(self._board.pin_versions(MODEL)["version"])

    def contents(self) -> list[tuple[str, str]]:
        return [(version, self._board.pin_read(MODEL, version)["token"]) for version in self.versions()]

    def moves(self) -> list[tuple[str, str]] | None:
        """Keep none: an unversioned pin forgets what it held before."""
        return None

    def _write(self, name: str, content: dict[str, str], *, versioned: bool) -> str:
        meta = self._board.pin_write(content, name, type="json", versioned=versioned, force_identical_write=True)
        return str(meta.version.version)
