"""pins with a board in a folder: ``pin_write`` names each version of a pin by its second and its hash.

pins has no aliases. Another pin without versions holds the version of the alias. No content repeats here, so pins need
not read the newest version first for a comparison (``force_identical_write``).
"""

from pathlib import Path

LABEL = "pins, a folder"
ENVIRONMENT = "pins"
IMPORTS = ("pins", "pandas")
NUMBERED = False
MODEL = "game-earnings"


class Registry:
    """A pin for the versions, and a pin for each alias."""

    def __init__(self, folder: Path) -> None:
        from pins import board_folder

        folder.mkdir(parents=True, exist_ok=True)
        self._board = board_folder(str(folder))

    def publish(self, token: str) -> str:
        return self._write(MODEL, {"token": token}, versioned=True)

    def set_alias(self, alias: str, version: str) -> None:
        self._write(alias, {"version": version}, versioned=False)

    def resolve(self, alias: str) -> str:
        version = self._board.pin_read(alias)["version"]
        return str(self._board.pin_meta(MODEL, version).version.version)

    def versions(self) -> list[str]:
        return list(self._board.pin_versions(MODEL)["version"])

    def contents(self) -> list[tuple[str, str]]:
        return [(version, self._board.pin_read(MODEL, version)["token"]) for version in self.versions()]

    def _write(self, name: str, content: dict[str, str], *, versioned: bool) -> str:
        meta = self._board.pin_write(content, name, type="json", versioned=versioned, force_identical_write=True)
        return str(meta.version.version)
