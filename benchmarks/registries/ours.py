"""A log of sealed events in a folder, each created if absent and synced; who loses a race tries again."""

from __future__ import annotations

from pathlib import Path

LABEL = "gamesales"
IMPORTS = ("gamesales.registry.registry",)


class Registry:
    """Uses what the commands use; a version's token is the reason that its event gives."""

    def __init__(self, place: Path) -> None:
        from gamesales.registry.registry import ModelRegistry
        from gamesales.registry.store import LocalStore

        self._registry = ModelRegistry(LocalStore(place))

    def create(self) -> None:
        """Need nothing: the first version makes its folders."""

    def publish(self, token: str) -> str:
        return str(self._registry.publish({"model.bin": token.encode()}, {"token": token}, token))

    def set_alias(self, alias: str, version: str) -> None:
        self._registry.set_alias(alias, int(version), "to be measured", lambda _state, _version: {})

    def resolve(self, alias: str) -> str:
        from gamesales.registry.refs import parse_ref

        version, _bundle = self._registry.resolve(parse_ref(f"@{alias}"))
        return str(version.number)

    def versions(self) -> list[str]:
        return [str(number) for number in self._registry.state().versions]

    def contents(self) -> list[tuple[str, str]]:
        registered = [event for event in self._registry.events() if event.kind == "version.registered"]
        return [(str(event.body["version"]), event.reason) for event in registered]

    def moves(self) -> list[tuple[str, str]] | None:
        moved = [event for event in self._registry.events() if event.kind == "alias.set"]
        return [(event.body["alias"], str(event.body["version"])) for event in moved]
