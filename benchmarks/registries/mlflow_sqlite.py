"""MLflow's registry in an SQLite file, by its client: what its documentation advises where there is no database server.

The engine has MLflow's own settings: it waits up to 20 seconds for a lock, and a version is tried three times.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.registries import mlflow_files

LABEL = "MLflow, SQLite"
ENVIRONMENT = "mlflow"
IMPORTS = ("mlflow", "mlflow.store.model_registry.sqlalchemy_store", "mlflow.store.tracking.sqlalchemy_store")

SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true"}


class Registry(mlflow_files.Registry):
    """The same calls to another store."""

    def uri(self, place: Path) -> str:
        place.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{place.absolute()}/mlflow.db"
