"""A log of sealed events in a folder. Each event is created if absent and synced; a writer that loses tries again."""

from pathlib import Path

LABEL = "gamesales"
IMPORTS = ("gamesales.registry.registry",)


class Registry:
    """The registry as the commands use it. The token of a version is the reason of its event."""

    def __init__(self, folder: Path) -> None:
        from gamesales.registry.registry import ModelRegistry
        from gamesales.storage.store import LocalStore

        self._registry = ModelRegistry(LocalStore(folder))

    def publish(self, token: str) -> str:
        return str(self._registry.publish({"model.bin": token.encode()}, {"token": token}, token))

    def set_alias(self, alias: str, version: str) -> None:
        self._registry.set_alias(alias, int(version), "to be measured", lambda _state, _version: {})

    def resolve(self, alias: str) -> str:
        from gamesales.registry.refs import parse_ref

        version, _bundle = self._registry.resolve(parse_ref(f"@{alias}"))
        return str(version.number)

    def versions(self) -> list[str]:
        return [str(number) for number in self._registry.read_state().read_versions()]

    def contents(self) -> list[tuple[str, str]]:
        events = [event for event in self._registry.read_events() if event.kind == "version.registered"]
        return [(str(event.body["version"]), event.reason) for event in events]

    def moves(self) -> list[tuple[str, str]]:
        events = [event for event in self._registry.read_events() if event.kind == "alias.set"]
        return [(event.body["alias"], str(event.body["version"])) for event in events]
