"""Shapley values as shap computes them. ``make explainers`` installs shap; without it, the test is skipped."""

import json
import subprocess

import numpy as np
import pytest

from gamesales.scoring.scorer import Scorer
from gamesales.stats.shapley import MAX_EXACT_COLUMNS, compute_shapley_values
from support import shap_values
from support.runs import network_graph
from support.versions import ROOT

PYTHON = ROOT / "tests/.servers/explainers/bin/python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="make explainers installs shap"),
]


# Columns and reference titles.
CASES = [(9, 100), (12, 20), (14, 10)]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """For each case: its graph, two titles, its reference titles, and what shap computes."""
    folder = tmp_path_factory.mktemp("shap")
    documents = []
    for columns, references in CASES:
        values = np.random.default_rng(columns).integers(-2, 3, (references + 2, columns))
        (folder / f"{columns}.onnx").write_bytes(network_graph(columns))
        documents.append(
            {"graph": f"{folder}/{columns}.onnx", "titles": values[:2].tolist(), "references": values[2:].tolist()}
        )
    (folder / "cases.json").write_text(json.dumps(documents))
    command = [PYTHON, shap_values.__file__, folder / "cases.json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return dict(zip(CASES, zip(documents, json.loads(ran.stdout.splitlines()[-1]), strict=True), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_values_of_shap(cases, case):
    """Exact values are those of shap's exact explainer. Sampled values are within their standard errors of them."""
    document, expected = cases[case]
    predict = Scorer(network_graph(case[0])).score
    titles, references = (np.array(document[key], np.float32) for key in ("titles", "references"))
    for title, mean, effects in zip(titles, expected["means"], expected["values"], strict=True):
        result = compute_shapley_values(predict, title, references)
        assert result.mean == pytest.approx(mean, rel=1e-6)
        if case[0] <= MAX_EXACT_COLUMNS:
            assert result.values == pytest.approx(effects, rel=1e-5, abs=1e-5)
        else:
            assert (np.abs(result.values - effects) < 5 * result.standard_errors).all()
            assert np.abs(effects).mean() > 20 * result.standard_errors.mean()
