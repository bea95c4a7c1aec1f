"""The registry of MLflow in a folder of files: the versions of one registered model, and its aliases.

The documentation of MLflow now recommends a database, and requires ``MLFLOW_ALLOW_FILE_STORE`` for a folder. MLflow
itself tries three times to create a version.
"""

from pathlib import Path

LABEL = "MLflow, files"
ENVIRONMENT = "mlflow"
IMPORTS = ("mlflow", "mlflow.store.model_registry.file_store")
SETTINGS = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
MODEL = "game-earnings"


class Registry:
    """One registered model. The token of a version is its source, which MLflow stores and does not read."""

    def __init__(self, folder: Path) -> None:
        import mlflow

        # For the whole process: the store looks up the model of a version with its own client.
        mlflow.set_tracking_uri(self.uri(folder))
        self._client = mlflow.MlflowClient()

    def uri(self, folder: Path) -> str:
        return folder.absolute().as_uri()

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
        versions = self._client.search_model_versions(f"name = '{MODEL}'", max_results=10_000)
        return [(str(version.version), version.source) for version in versions]
