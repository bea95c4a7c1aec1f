"""MLflow's registry in a folder of files, by its client: the versions of one registered model, and its aliases.

Its documentation now advises a database; the folder must be allowed by ``MLFLOW_ALLOW_FILE_STORE``. MLflow itself tries
three times to create a version.
"""

from __future__ import annotations

from pathlib import Path

LABEL = "MLflow, files"
ENVIRONMENT = "mlflow"
IMPORTS = ("mlflow", "mlflow.store.model_registry.file_store")
SETTINGS = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
MODEL = "game-earnings"


class Registry:
    """One registered model; a version's token is its source, which MLflow stores and does not look into."""

    def __init__(self, place: Path) -> None:
        import mlflow

        # For the whole process: the store looks up a version's model by a client of its own.
        mlflow.set_tracking_uri(self.uri(place))
        self._client = mlflow.MlflowClient()

    def uri(self, place: Path) -> str:
        """Return what MLflow calls the store."""
        return place.absolute().as_uri()

    def create(self) -> None:
        self._client.create_registered_model(MODEL)

    def publish(self, token: str) -> str:
        return str(self._client.create_model_version(MODEL, source=token).version)

    def set_alias(self, alias: str, version: str) -> None:
        self._client.set_registered_model_alias(MODEL, alias, version)

    def resolve(self, alias: str) -> str:
        return str(self._client.get_model_version_by_alias(MODEL, alias).version)

    def versions(self) -> list[str]:
        return [version for version, _ in self.contents()]

    def contents(self) -> list[tuple[str, str]]:
        found = self._client.search_model_versions(f"name = '{MODEL}'", max_results=10_000)
        return [(str(one.version), one.source) for one in found]

    def moves(self) -> list[tuple[str, str]] | None:
        """Keep none: setting an alias forgets what it named before."""
        return None
