"""Any contract, and any table that fits it, train, publish, score and export. Cells that do not fit are rejected."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gamesales.data.screen import RejectLimit
from gamesales.errors import UsageError
from gamesales.jobs.export import export
from gamesales.jobs.loading import load_registered, open_registry
from gamesales.jobs.train import train
from gamesales.registry.refs import parse_ref
from gamesales.training.encoding import needs_encoding
from gamesales.training.train_job import load_job
from support.any_contract import ROWS, any_tables, write_contract, write_table
from support.runs import read_csv, read_rejects, score
from support.sampling import IS_EXHAUSTIVE, many
from support.train_jobs import write_job

OUTPUTS = {"keras": "model.keras", "savedmodel": "saved", "onnx": "model.onnx", "h5": "model.h5"}


def train_any(folder, table):
    """Train a version on a table of its contract for an epoch, and return its registry."""
    data = {
        "train": write_table(folder / "train.parquet", table.make(ROWS, seed=1)),
        "test": write_table(folder / "test.parquet", table.make(ROWS, seed=2)),
        "contract": write_contract(folder / "contract.toml", table.contract),
    }
    job = load_job(write_job(folder / "job.toml", data=data, training={"epochs": 1}))
    registry = open_registry(folder / "registry", job.name)
    train(job, registry)
    return registry


def check_scores(folder, table, version):
    """Score new rows: those that do not fit are rejected with their reason, and all others have a prediction."""
    cells, reasons = table.make_new(ROWS)
    source = write_table(folder / "new.parquet", cells)
    score(version, source, folder / "out.csv", limit=RejectLimit(0, 1.0))
    rejects = {} if not reasons else {one["row"]: one for one in read_rejects(folder / "out.csv.rejects.csv")}
    assert rejects.keys() == reasons.keys()
    for row, (name, reason) in reasons.items():
        assert rejects[row]["column"] == name
        assert rejects[row]["reason"].startswith(f"{name}: {reason}")
    predictions = [float(row["predicted_earnings"]) for row in read_csv(folder / "out.csv")]
    assert len(predictions) == len(next(iter(cells.values()))) - len(reasons)
    assert np.isfinite(predictions).all()


def find_refusal(contract, form):
    """Return a part of the message with which an export is refused; empty if it works."""
    names = contract.feature_names
    if form == "h5" and (needs_encoding(contract) or contract.target.scale == "log"):
        return "can't hold categories"
    if form == "onnx" and needs_encoding(contract) and "earnings" in names:
        return "can't have an input and an output"
    return "can't name its inputs" if form == "savedmodel" and "größe x" in names else ""


def check_export(folder, registry, contract, form):
    """Export the version, which compares the export with the scorer."""
    ref = parse_ref("1", registry.model, registry.location)
    refusal = find_refusal(contract, form)
    if refusal:
        with pytest.raises(UsageError, match=refusal):
            export(registry, ref, form, folder / OUTPUTS[form])
    else:
        assert export(registry, ref, form, folder / OUTPUTS[form]).rows_checked > 4_000


@pytest.mark.slow
@settings(
    deadline=None,
    max_examples=many(100, 3),
    suppress_health_check=list(HealthCheck),
    # A training takes seconds, so examples are made smaller only where there is time for it.
    phases=[*Phase] if IS_EXHAUSTIVE else [Phase.explicit, Phase.generate],
)
@given(table=any_tables(), form=st.sampled_from([*OUTPUTS]))
def test_any_contract(table, form):
    """A drawn contract and its tables go through all steps, and each cell that does not fit has its reason."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry = train_any(folder, table)
        version = load_registered(registry, registry.find_version(1))
        version.run_self_test()
        check_scores(folder, table, version)
        for each in {"onnx", form}:
            check_export(folder, registry, version.contract, each)
