"""The registry of MLflow in an SQLite file, which its documentation recommends without a database server.

The engine has MLflow's own settings: it waits up to 20 seconds for a lock, and tries three times to create a version.
"""

from pathlib import Path

from benchmarks.registries import mlflow_files

LABEL = "MLflow, SQLite"
ENVIRONMENT = "mlflow"
IMPORTS = ("mlflow", "mlflow.store.model_registry.sqlalchemy_store", "mlflow.store.tracking.sqlalchemy_store")
SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true"}


class Registry(mlflow_files.Registry):
    """The same calls to another store."""

    def uri(self, folder: Path) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{folder.absolute()}/mlflow.db"
