"""A simulated catalog: its columns, its gaps, and earnings that follow the formula."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from gamesales.data.simulate_catalog import (
    EARNINGS,
    GENRES,
    PLATFORMS,
    PUBLISHERS,
    compute_expected_earnings,
    make_catalog_schema,
    simulate_catalog,
    write_catalog,
)
from gamesales.errors import UsageError


def draw(rows, **options):
    return pa.Table.from_batches(simulate_catalog(rows, **options), make_catalog_schema(**_without_seed(options)))


def _without_seed(options):
    return {name: value for name, value in options.items() if name != "seed"}


@pytest.fixture(scope="module")
def catalog():
    return draw(20_000)


def test_gaps(catalog):
    """Scores have the documented gaps, and the other columns have none."""
    missing = catalog["critic_score"].null_count / len(catalog)
    users = catalog["user_score"].to_pylist()
    assert 0.40 == pytest.approx(missing, abs=0.02)
    assert 0.10 == pytest.approx(users.count("") / len(users), abs=0.01)
    assert 0.10 == pytest.approx(users.count("tbd") / len(users), abs=0.01)
    assert 0 == sum(catalog[name].null_count for name in catalog.column_names if name != "critic_score")


def test_values(catalog):
    """Categories have all their values, and the parts of the earnings add up."""
    assert set(GENRES) == set(catalog["genre"].to_pylist())
    assert set(PLATFORMS) == set(catalog["platform"].to_pylist())
    assert PUBLISHERS == len(set(catalog["publisher"].to_pylist()))
    home, abroad, total = (np.array(catalog[name].to_pylist()) for name in EARNINGS)
    assert np.array_equal(home + abroad, total)
    assert total.max() / total.min() > 1000


def test_formula():
    """The example of the formula can be computed by hand."""
    titles = {
        "genre": np.array([4.0]),
        "platform": np.array([3.0]),
        "publisher": np.array([0.0]),
        "days": np.array([np.datetime64("2015-12-24").astype(np.int64)], np.float64),
        "unit_price": np.array([40.0]),
        "critic_score": np.array([85.0]),
        "user_score": np.array([6.0]),
    }
    exponent = 0.4 + 0.8 - 1.5 + 0.6 + (0.8 + 0.5) * np.tanh(1)
    assert [60_000 * np.exp(exponent)] == pytest.approx(compute_expected_earnings(titles))


def test_prefix(catalog):
    """A shorter catalog is the beginning of a longer one, also without earnings. Another seed is another catalog."""
    assert catalog.slice(0, 50) == draw(50)
    assert catalog.drop_columns(list(EARNINGS)).slice(0, 50) == draw(50, with_target=False)
    assert catalog.slice(0, 50) != draw(50, seed=2)


def test_files(tmp_path):
    """CSV and Parquet files have the same cells."""
    write_catalog(tmp_path / "catalog.csv", 100)
    write_catalog(tmp_path / "catalog.parquet", 100)
    texts = csv.ConvertOptions(column_types=make_catalog_schema(), strings_can_be_null=False, null_values=[""])
    assert parquet.read_table(tmp_path / "catalog.parquet") == csv.read_csv(
        tmp_path / "catalog.csv", convert_options=texts
    )


def test_wrong_numbers(tmp_path):
    """A negative number is refused before a file is written."""
    with pytest.raises(UsageError, match="rows: expected 0 or more"):
        write_catalog(tmp_path / "catalog.csv", -1)
    assert [] == list(tmp_path.iterdir())
