"""A table that is scored in memory has a row for each title, with the values of a scoring run."""

import csv

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales import Predictor
from gamesales.errors import ColumnsError, InputError
from support.runs import DAY, network_version, score, simple_version
from support.versions import FEATURES, INTERVAL, NEW_RECORD, titles_table

ADDED = ["predicted_earnings", "predicted_earnings_low", "predicted_earnings_high"]
ADDED += ["outside_training_range", "unfamiliar", "model_version", "reject_reason"]
VERSIONS = {
    "plain": simple_version(number=7),
    "interval": simple_version(number=7, interval=INTERVAL),
    "new": simple_version(number=7, **NEW_RECORD),
    "network": network_version(),
}
PREDICTOR = Predictor(VERSIONS["new"])


def spoiled_titles(bad, rows=40):
    """Titles with an id. The rows of ``bad`` have no price."""
    prices = [None if row in bad else 49.99 for row in range(rows)]
    titles = titles_table(rows, title_id=[f"t{row}" for row in range(rows)])
    return titles.set_column(titles.schema.get_field_index("unit_price"), "unit_price", pa.array(prices, pa.float64()))


@pytest.mark.parametrize("name", VERSIONS)
def test_run_has_the_same_rows(tmp_path, name):
    """The accepted rows have the values of ``gamesales score``, and the rejected rows its reasons."""
    titles = spoiled_titles({0, 17, 39})
    parquet.write_table(titles, tmp_path / "titles.parquet")
    score(VERSIONS[name], tmp_path / "titles.parquet", tmp_path / "out.parquet", day=DAY)
    run = parquet.read_table(tmp_path / "out.parquet")
    scored = Predictor(VERSIONS[name]).score(titles)
    accepted = scored.filter(pa.compute.is_null(scored["reject_reason"])).select(run.column_names)
    assert run.replace_schema_metadata() == accepted
    with (tmp_path / "out.parquet.rejects.csv").open(newline="") as file:
        reasons = {int(row["row"]) - 1: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {row: text for row, text in enumerate(scored["reject_reason"].to_pylist()) if text}


@given(bad=st.sets(st.integers(0, 39)), cut=st.integers(0, 40))
def test_rows_keep_their_places(bad, cut):
    """A row has the same result in any table. A rejected row has its id, the version, a reason and nulls."""
    titles = spoiled_titles(bad)
    scored = PREDICTOR.score(titles)
    assert ["title_id", *ADDED] == scored.column_names
    assert titles["title_id"] == scored["title_id"]
    assert [row in bad for row in range(40)] == [reason is not None for reason in scored["reject_reason"].to_pylist()]
    assert [row in bad for row in range(40)] == [value is None for value in scored["predicted_earnings"].to_pylist()]
    assert {7} == set(scored["model_version"].to_pylist())
    (batch,) = titles.to_batches()
    assert scored == pa.concat_tables([PREDICTOR.score(titles.slice(0, cut)), PREDICTOR.score(batch.slice(cut))])


@pytest.mark.parametrize("rows", [0, 1, 40])
def test_versions_give_the_same_columns(rows):
    """The columns and their types do not depend on the version or the rows. What a version lacks is null."""
    schemas = {Predictor(version).score(spoiled_titles({0}).slice(0, rows)).schema for version in VERSIONS.values()}
    assert {PREDICTOR.score(spoiled_titles(set())).schema} == schemas
    plain = Predictor(VERSIONS["plain"]).score(spoiled_titles(set()).slice(0, rows))
    assert rows == plain["predicted_earnings_low"].null_count == plain["unfamiliar"].null_count


def test_repeated_titles_are_scored_once():
    """Titles that repeat give the same values as the same titles in small tables, which have no cache."""
    titles = titles_table(20_000)
    predictor = Predictor(VERSIONS["new"])
    scored = [predictor.score(titles) for _ in range(2)]
    assert predictor._cache.combinations is not None
    small = pa.concat_tables([PREDICTOR.score(titles.slice(start, 1_000)) for start in range(0, 20_000, 1_000)])
    assert small.combine_chunks() == scored[0].combine_chunks() == scored[1].combine_chunks()


def test_kept_columns():
    """``keep`` selects the copied columns, and may name features."""
    titles = spoiled_titles({1}, 3)
    assert ["unit_price", *ADDED] == PREDICTOR.score(titles, keep=["unit_price"]).column_names
    assert ADDED == PREDICTOR.score(titles, keep=[]).column_names
    with pytest.raises(ColumnsError, match="lacks publisher, year, which is to be kept"):
        PREDICTOR.score(titles, keep=["title_id", "publisher", "year"])


@pytest.mark.parametrize("name", ["model_version", "Reject_Reason", "unfamiliar", "TITLE_ID"])
def test_names_that_clash(name):
    """Two columns of a result never differ in case only. Spark would find neither."""
    titles = spoiled_titles(set(), 3)
    with pytest.raises(ColumnsError, match=f"two columns {name}"):
        PREDICTOR.score(titles.append_column(name, pa.array([1, 2, 3])))


def test_data_frames():
    """A mapping or a pandas frame is scored like an Arrow table."""
    titles = titles_table(5)
    assert PREDICTOR.score(titles) == PREDICTOR.score(titles.to_pandas())
    assert PREDICTOR.score(titles) == PREDICTOR.score({name: titles[name] for name in FEATURES})


@pytest.mark.parametrize("titles", [None, 7, "titles.csv", [1, 2]])
def test_not_a_table(titles):
    """A value that is not a table is a TypeError, which names what is expected."""
    with pytest.raises(TypeError, match=f"expected an Arrow table, .* received {type(titles).__name__}"):
        PREDICTOR.score(titles)


@pytest.mark.parametrize(
    ("titles", "message"),
    [
        ({**titles_table(2).to_pydict(), "note": ["x", 3]}, "Expected bytes, got a 'int' object"),
        (pa.array([4.0]), "non-struct type double"),
    ],
)
def test_table_that_arrow_refuses(titles, message):
    """A column that pyarrow can't convert is an InputError."""
    with pytest.raises(InputError, match=f"can't be converted to an Arrow table: .*{message}"):
        PREDICTOR.score(titles)


def test_missing_features():
    """A table without a feature stops, whatever its rows are."""
    with pytest.raises(ColumnsError, match="lacks unit_price"):
        PREDICTOR.score(titles_table(3).drop_columns("unit_price"))
    with pytest.raises(ColumnsError, match="critic_rating has type list"):
        PREDICTOR.score(titles_table(1).set_column(0, "critic_rating", pa.array([[1.0]])))


def test_nan_bounds_are_null():
    """A title whose interval is not known has null bounds, as in a run."""
    record = {**NEW_RECORD, "interval": INTERVAL}
    scored = Predictor(simple_version(**record)).score(titles_table(50))
    assert scored["unfamiliar"].to_pylist() == [low is None for low in scored["predicted_earnings_low"].to_pylist()]
    assert np.isfinite(scored["predicted_earnings"].to_numpy()).all()
