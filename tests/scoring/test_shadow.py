"""The comparison with a shadow over categories and missing cells."""

import dataclasses
import json

import numpy as np
import pyarrow as pa

from gamesales.data.table import Batch
from gamesales.scoring.predict import predict_batch
from gamesales.scoring.shadow import compare_with_shadow, summarize
from support.mixed import mixed_cells, mixed_values, mixed_version


def test_differences_by_category_and_gap():
    """The bins of a category have its texts, and missing cells have a bin without bounds."""
    values, version = mixed_values(300), mixed_version()
    batch = Batch(pa.RecordBatch.from_pydict(mixed_cells(values)), np.arange(1, 301))
    comparison = compare_with_shadow(batch, predict_batch(batch, version), "a.csv", version, version)
    summary = dataclasses.asdict(summarize(comparison, version, version))
    bins = {feature["column"]: feature["bins"] for feature in summary["by_feature"]}
    assert ["other", "Action", "RPG", "Sports"] == [genre["label"] for genre in bins["genre"]]
    assert {"from": None, "to": None, "label": "missing"}.items() <= bins["year"][-1].items()
    assert int(np.isnan(values[:, 4]).sum()) == bins["year"][-1]["rows"]
    assert {"label"}.isdisjoint(bins["is_sequel"][0])
    assert "NaN" not in json.dumps(summary)
