"""Predictors: predictions for any kind of table, and errors that name columns and rows."""

import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gamesales import Predictor, Registry
from gamesales.errors import (
    ColumnsError,
    GamesalesError,
    InputError,
    IntegrityError,
    NoReferenceTitlesError,
    NothingPromotedError,
    SelfTestError,
    UnknownVersionError,
    UsageError,
)
from gamesales.jobs.loading import open_registry
from support.versions import FEATURES, ROOT, publish_simple, simple_earnings, title_values, titles_table

VALUES = title_values(7)
EARNINGS = simple_earnings(VALUES)


@pytest.fixture
def registry(simple_registry, tmp_path):
    return Registry(tmp_path / "registry")


@pytest.fixture
def predictor(registry):
    return registry.load("@champion")


def arrays(values=VALUES):
    return {name: values[:, place] for place, name in enumerate(FEATURES)}


def records(values=VALUES):
    """The titles as a list of mappings, with columns that the contract does not have."""
    return [{"title": "a", **dict(zip(FEATURES, row, strict=True))} for row in values.tolist()]


class ArrowStream:
    """A frame of another library, which passes its data through the Arrow PyCapsule interface only."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def frame(**dtypes):
    return pd.DataFrame(arrays()).astype(dtypes)


def chunked(table, rows):
    return pa.Table.from_batches(table.to_batches(max_chunksize=rows))


# --- Kinds of tables.


@pytest.mark.parametrize(
    "titles",
    [
        titles_table(7),
        titles_table(7).to_batches()[0],
        chunked(titles_table(7), 3),
        titles_table(7).cast(pa.schema([(name, pa.float32()) for name in FEATURES])),
        titles_table(7).select(FEATURES[::-1]),
        titles_table(7, title_id=["x"] * 7, total_earnings=[1.5] * 7),
        pa.table({name: pa.array(column).dictionary_encode() for name, column in arrays().items()}),
        pa.table({name: pa.array(map(str, column)) for name, column in arrays().items()}),
        frame(),
        frame(is_action=bool, is_sports="boolean"),
        frame(is_action="Int64", is_sports="int8", critic_rating="Float32", unit_price=object),
        frame(**dict.fromkeys(FEATURES, object)),
        frame(is_action="category", is_sequel=str),
        frame(is_action="int64[pyarrow]", critic_rating="double[pyarrow]"),
        frame().assign(title="a").set_index("title"),
        frame()[list(FEATURES[::-1])],
        arrays(),
        {name: column.tolist() for name, column in arrays().items()},
        {name: tuple(column) for name, column in arrays().items()},
        {name: pa.array(column) for name, column in arrays().items()},
        {name: np.repeat(column, 2)[::2] for name, column in arrays().items()},
        {**arrays(), "is_action": [bool(flag) for flag in VALUES[:, 1]], "note": "of another length"},
        {**arrays(), "is_action": ["true" if flag else "False" for flag in VALUES[:, 1]]},
        {**arrays(), "is_action": np.ma.array(VALUES[:, 1], mask=False)},
        records(),
        tuple(records()),
        [{name: str(value) for name, value in title.items()} for title in records()],
        [{**title, "is_action": bool(title["is_action"])} for title in records()],
        [{**title, "unit_price": Decimal(str(title["unit_price"]))} for title in records()],
        ArrowStream(titles_table(7)),
        titles_table(7).to_reader(),
    ],
    ids=lambda titles: type(titles).__name__,
)
def test_kinds_of_tables(predictor, titles):
    """Every kind of table gives the same predictions."""
    earnings = predictor.predict(titles)
    assert np.float64 == earnings.dtype
    # A price as float32 differs from its decimals by less than a hundredth of a cent.
    np.testing.assert_allclose(earnings, EARNINGS, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int64(), pa.int8(), pa.bool_(), pa.string()])
def test_slice_of_table(predictor, kind):
    """A slice predicts its own rows. Slices of Arrow share the memory of the whole table."""
    column = pa.array(VALUES[:, 1]).cast(pa.int8()).cast(kind)
    table = titles_table(7).set_column(1, "is_action", column)
    np.testing.assert_allclose(predictor.predict(table.slice(3, 3)), EARNINGS[3:6], atol=1e-3)
    np.testing.assert_allclose(predictor.predict(table.to_batches()[0].slice(5)), EARNINGS[5:], atol=1e-3)
    np.testing.assert_allclose(predictor.predict(chunked(table, 2).slice(1, 5)), EARNINGS[1:6], atol=1e-3)


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(0, 3000), order=st.randoms(use_true_random=False))
def test_row_order(rows, order, loaded):
    """A prediction does not depend on the position of its row."""
    values = title_values(rows, seed=rows)
    places = list(range(rows))
    order.shuffle(places)
    in_order = loaded.predict(arrays(values))
    assert rows == len(in_order)
    np.testing.assert_array_equal(loaded.predict(arrays(values[places])), in_order[places])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A predictor for all examples of Hypothesis."""
    from gamesales.jobs.loading import open_registry

    folder = tmp_path_factory.mktemp("loaded")
    publish_simple(open_registry(folder, "game-earnings"))
    return Registry(str(folder)).load("game-earnings/1")


@pytest.mark.parametrize(
    "titles",
    [
        titles_table(0),
        titles_table(3).slice(0, 0),
        pa.schema([(name, pa.float64()) for name in FEATURES]).empty_table(),
        frame().head(0),
        {name: [] for name in FEATURES},
        [],
    ],
    ids=["arrow", "slice", "no-chunks", "frame", "mapping", "list"],
)
def test_no_titles(predictor, titles):
    """A table without rows gives an empty array."""
    earnings = predictor.predict(titles)
    assert (np.float64, (0,)) == (earnings.dtype, earnings.shape)


# --- Tables that can't be scored.


@pytest.mark.parametrize(
    "make",
    [
        lambda kept: titles_table(7).select(kept).append_column("unit price", pa.array([1] * 7)),
        lambda kept: frame()[kept].assign(**{"unit price": 1}),
        lambda kept: {**{name: arrays()[name] for name in kept}, "unit price": [1] * 7},
        lambda kept: [{**{name: title[name] for name in kept}, "unit price": 1} for title in records()],
    ],
    ids=["arrow", "frame", "mapping", "list"],
)
def test_missing_columns(predictor, make):
    """All missing columns are named, beside the columns of the table."""
    with pytest.raises(ColumnsError, match=r"lacks critic_rating, unit_price \(it has is_action, .*, unit price\)"):
        predictor.predict(make(list(FEATURES[1:-1])))


@pytest.mark.parametrize(
    "titles",
    [
        titles_table(7).append_column("unit_price", pa.array([1] * 7)),
        pd.concat([frame(), frame()[["unit_price"]]], axis=1),
    ],
    ids=["arrow", "frame"],
)
def test_duplicate_column(predictor, titles):
    """A duplicate column is named, because either could be meant."""
    with pytest.raises(ColumnsError, match="duplicate columns: unit_price"):
        predictor.predict(titles)


def test_wrong_column_type(predictor):
    """A column that is not numeric is named."""
    table = titles_table(7).set_column(0, "critic_rating", pa.array([{"stars": 1}] * 7))
    with pytest.raises(ColumnsError, match=r"critic_rating has type struct<stars: int64>, expected numbers"):
        predictor.predict(table)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([4.5, 9, 3], r"1 of 3 rows can't be scored: row 2: critic_rating: out of range, allowed: 0 to 5"),
        ([4.5, None, 3], r"row 2: critic_rating: missing"),
        ([4.5, float("nan"), 3], r"row 2: critic_rating: not a number"),
        ([4.5, 3, float("inf")], r"row 3: critic_rating: not a finite number"),
        (["4.5", "good", ""], r"2 of 3 .*row 2: critic_rating: not a number; row 3: critic_rating: missing"),
        (pd.Series([4, None, 3], dtype="Int64"), r"1 of 3 rows .*row 2: critic_rating: "),
        (pa.chunked_array([[4.5], [None, 3]]), r"1 of 3 rows .*row 2: critic_rating: "),
        (np.ma.array([4.5, 3, 3], mask=[False, True, False]), r"1 of 3 rows .*row 2: critic_rating: "),
        (pd.to_datetime(["2026-01-01"] * 3), r"3 of 3 rows .*row 1: critic_rating: not a number"),
    ],
)
def test_bad_rows(predictor, column, reason):
    """Rows that break the contract are named by their number."""
    with pytest.raises(InputError, match=reason):
        predictor.predict({**arrays(VALUES[:3]), "critic_rating": column})


def test_many_bad_rows(predictor):
    """Only the first few bad rows are named."""
    with pytest.raises(InputError, match=r"^2,000 of 2,000 rows can't be scored: row 1: .*; row 5: ") as refused:
        predictor.predict({**arrays(title_values(2000)), "is_action": np.full(2000, 2)})
    assert "row 6" not in refused.value.message


def test_different_lengths(predictor):
    """Columns of different lengths are refused."""
    with pytest.raises(InputError, match=r"different lengths \(critic_rating: 7, is_action: 6, "):
        predictor.predict({**arrays(), "is_action": VALUES[:6, 1]})


@pytest.mark.parametrize(
    ("column", "shape"), [(60.0, r"\(\)"), (np.ones((7, 2)), r"\(7, 2\)"), (np.ones((7, 1)), r"\(7, 1\)")]
)
def test_wrong_shape(predictor, column, shape):
    """A column has one number for each title. A table or a bare number is refused."""
    with pytest.raises(InputError, match=f"unit_price has shape {shape}, expected") as refused:
        predictor.predict({**arrays(), "unit_price": column})
    assert "Give a list of numbers for each column" in refused.value.hint


@pytest.mark.parametrize("titles", [None, 7, "titles.csv", [4.5, 1], VALUES])
@pytest.mark.parametrize("method", ["predict", "score"])
def test_not_a_table(predictor, titles, method):
    """A value that is not a table is a TypeError."""
    with pytest.raises(TypeError, match="expected an Arrow table, a data frame, a mapping of columns or a list"):
        getattr(predictor, method)(titles)


def test_ragged_column(predictor):
    """A column of lists of different lengths is refused."""
    with pytest.raises(InputError, match="unit_price is not a column of numbers"):
        predictor.predict({**arrays(), "unit_price": [[1.0], [1.0, 2.0]]})


def test_list_with_gaps(predictor):
    """A title without a feature is named by its number, and a feature that no title has by its name."""
    titles = records()
    del titles[2]["unit_price"]
    with pytest.raises(InputError, match="1 of 7 rows can't be scored: row 3: unit_price: missing"):
        predictor.predict(titles)
    with pytest.raises(ColumnsError, match="lacks critic_rating"):
        predictor.predict([{"is_action": 1}])


# --- A single title, and tables with all their columns.


def test_single_title(predictor):
    """A mapping of values is a single title."""
    np.testing.assert_allclose(predictor.predict(records()[2]), EARNINGS[2:3])


@pytest.mark.parametrize(
    "titles",
    [
        titles_table(7, title=["a"] * 7),
        titles_table(7, title=["a"] * 7).to_batches()[0],
        frame().assign(title="a"),
        {**arrays(), "title": ["a"] * 7},
        records(),
        ArrowStream(titles_table(7, title=["a"] * 7)),
    ],
    ids=lambda titles: type(titles).__name__,
)
def test_score_kinds_of_tables(predictor, titles):
    """Every kind of table is scored alike, with its other columns."""
    scored = predictor.score(titles)
    assert ["a"] * 7 == scored["title"].to_pylist()
    np.testing.assert_allclose(scored["predicted_earnings"], EARNINGS)
    assert 7 == scored["reject_reason"].null_count


def test_score_mixed_column(predictor):
    """A column that Arrow has no type for is named."""
    with pytest.raises(InputError, match="the column note can't be converted to an Arrow table"):
        predictor.score(
            [{**title, "note": note} for title, note in zip(records(), [1, "b", 2, 3, 4, 5, 6], strict=True)]
        )
    with pytest.raises(InputError, match=r"the table can't be converted to an Arrow table: .*note"):
        predictor.score(frame().assign(note=[1, "b", 2, 3, 4, 5, 6]))


def test_score_different_lengths(predictor):
    """Another column of another length is refused."""
    with pytest.raises(InputError, match=r"different lengths \(the features: 7, note: 2\)"):
        predictor.score({**arrays(), "note": ["a", "b"]})


@pytest.mark.slow
def test_polars_frame(registry, tmp_path):
    """A frame of Polars is predicted and scored, by the libraries of a scoring host and Polars."""
    python = ROOT / "tests/.servers/engines/bin/python"
    if not python.exists():
        pytest.skip("make engines installs Polars")
    parquet.write_table(titles_table(7, title=["a"] * 7), tmp_path / "titles.parquet")
    script = (
        "import polars\nfrom gamesales import Registry\n"
        "predictor = Registry('registry').load('@champion')\ntitles = polars.read_parquet('titles.parquet')\n"
        "print(*predictor.predict(titles), *predictor.score(titles)['predicted_earnings'].to_pylist())"
    )
    ran = subprocess.run(
        [python, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    np.testing.assert_allclose(np.array(ran.stdout.split(), float), [*EARNINGS, *EARNINGS])


# --- The registry.


def test_predictor_properties(predictor, contract):
    """A predictor has its model, version and contract."""
    assert isinstance(predictor, Predictor)
    assert ("game-earnings", 1, contract) == (predictor.model, predictor.version, predictor.contract)


@pytest.mark.parametrize("ref", ["1", "game-earnings/1", "@champion", "game-earnings@champion"])
def test_forms_of_reference(registry, ref):
    """Every form of a reference loads the version."""
    assert 1 == registry.load(ref).version


def test_predictor_keeps_version(cli, registry, simple_registry):
    """A promotion does not change a loaded predictor."""
    before = registry.load("@champion")
    publish_simple(simple_registry, bias=500.0)
    assert 0 == cli("promote", "2").code
    after = registry.load("@champion")
    assert (1, 2) == (before.version, after.version)
    np.testing.assert_allclose(before.predict(arrays()), EARNINGS)
    np.testing.assert_allclose(after.predict(arrays()), EARNINGS + 500)


def test_pickled_predictor(registry, tmp_path):
    """Another process predicts with a pickle of a predictor, without the registry."""
    (tmp_path / "predictor").write_bytes(pickle.dumps(registry.load("@champion")))
    parquet.write_table(titles_table(7), tmp_path / "titles.parquet")
    shutil.rmtree(tmp_path / "registry")
    script = (
        "import pickle\n"
        "from pathlib import Path\n"
        "from pyarrow.parquet import read_table\n"
        "predictor = pickle.loads(Path('predictor').read_bytes())\n"
        "print(predictor.model, predictor.version, *predictor.predict(read_table('titles.parquet')))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    model, version, *predicted = done.stdout.split()
    assert ("game-earnings", "1") == (model, version)
    np.testing.assert_allclose(np.array(predicted, float), EARNINGS)


@pytest.fixture
def explainable(registry, simple_registry):
    """A predictor with 20 reference titles."""
    return registry.load(str(publish_simple(simple_registry, references=title_values(20, seed=4))))


def test_explanations(explainable):
    """Each title has an explanation whose parts add up to its prediction, also after a pickle."""
    explanations = explainable.explain(titles_table(7))
    assert explainable.predict(titles_table(7)).tolist() == [each.prediction for each in explanations]
    for explanation in explanations:
        total = explanation.mean + sum(effect.effect for effect in explanation.effects)
        assert total == pytest.approx(explanation.prediction)
        assert set(FEATURES) == {effect.column for effect in explanation.effects}
    assert explanations == pickle.loads(pickle.dumps(explainable)).explain(titles_table(7))
    assert [] == explainable.explain(titles_table(0))


def test_explanation_display(explainable):
    """An explanation has a line for a terminal and a table for a notebook."""
    (explanation,) = explainable.explain(titles_table(1))
    assert re.fullmatch(r"Explanation\([\d,.]+ from a mean of [\d,.]+: (\w+ [+-][\d,.]+, ){3}…\)", repr(explanation))
    assert len(FEATURES) + 2 == explanation._repr_html_().count("<tr>") - 1


def test_threads(predictor):
    """Threads share a predictor."""
    tables = [titles_table(500, seed=seed) for seed in range(20)]
    expected = [simple_earnings(title_values(500, seed=seed)) for seed in range(20)]
    with ThreadPoolExecutor(8) as pool:
        predicted = list(pool.map(predictor.predict, tables))
        scored = list(pool.map(lambda table: predictor.score(table)["predicted_earnings"].to_numpy(), tables))
    np.testing.assert_allclose(predicted, expected)
    np.testing.assert_allclose(scored, expected)


def test_no_explanations(predictor):
    """A version without reference titles says so."""
    with pytest.raises(NoReferenceTitlesError, match="version 1 of game-earnings can't explain its predictions"):
        predictor.explain(titles_table(2))


def test_unpickled_predictor_is_tested(registry):
    """A machine that does not reproduce the golden rows refuses the predictor."""
    predictor = registry.load("@champion")
    predictor._version.golden.predictions[0] += 1e6
    with pytest.raises(SelfTestError, match="golden row 1"):
        pickle.loads(pickle.dumps(predictor))


def test_nothing_promoted(tmp_path):
    """Without a champion, loading it is an error. The newest version is no substitute."""
    publish_simple(open_registry(tmp_path / "registry", "game-earnings"))
    with pytest.raises(NothingPromotedError, match="no version of game-earnings is champion") as refused:
        Registry(tmp_path / "registry").load("game-earnings@champion")
    assert isinstance(refused.value, LookupError)
    assert "gamesales promote 1" in refused.value.hint


@pytest.mark.parametrize(
    ("ref", "error"), [("2", UnknownVersionError), ("other-earnings/1", UnknownVersionError), ("latest", UsageError)]
)
def test_unknown_version(registry, ref, error):
    """An unknown version is an error of the tree."""
    with pytest.raises(error) as refused:
        registry.load(ref)
    assert isinstance(refused.value, GamesalesError)


def test_changed_byte(registry, tmp_path):
    """A changed byte of the graph is an IntegrityError."""
    graph = next((tmp_path / "registry").rglob("scorer.onnx"))
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes()[:-1] + b"\x00")
    with pytest.raises(IntegrityError, match=r"scorer\.onnx was changed"):
        registry.load("@champion")


def test_default_registry(simple_registry, tmp_path, monkeypatch):
    """The default registry is the folder ``registry``."""
    monkeypatch.chdir(tmp_path)
    assert 1 == Registry().load("@champion").version


def test_predict_loads_no_training_library(registry, tmp_path):
    """Predicting and explaining load no training library and no pandas."""
    version = publish_simple(open_registry(tmp_path / "registry", "game-earnings"), references=title_values(5))
    titles = {name: column.tolist() for name, column in arrays(VALUES[:3]).items()}
    script = (
        "import sys\n"
        "from gamesales import Registry\n"
        f"predictor = Registry({str(tmp_path / 'registry')!r}).load('{version}')\n"
        f"assert 3 == len(predictor.predict({titles!r})) == len(predictor.explain({titles!r}))\n"
        "print(*sorted({'tensorflow', 'keras', 'pandas', 'sklearn', 'joblib', 'onnx'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (0, "") == (done.returncode, done.stdout.strip()), done.stderr
