"""The simulated store: its formula, its shares, and reproducible files."""

import argparse
import math
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamesales.data import simulate as store
from gamesales.data.contract import Contract
from gamesales.data.simulate import CHUNK_ROWS, compute_expected_earnings, simulate, write_titles
from gamesales.errors import TryAgainError, UsageError

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
KINDS = [{}, {"continuous": True}, {"with_identity": True}, {"with_identity": True, "with_target": False}]

row_counts = st.integers(0, 2 * CHUNK_ROWS + 10) | st.sampled_from(
    [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS]
)


def simulate_table(rows, **options):
    schema = store.make_schema(**{k: v for k, v in options.items() if k.startswith("with_")})
    return pa.Table.from_batches(simulate(rows, **options), schema=schema)


def read_csv_as(path, schema):
    types = pa_csv.ConvertOptions(column_types=schema)
    return pa_csv.read_csv(path, convert_options=types)


def find_recorded_commands():
    """Find the commands of data/README.md that write files in data/, as arguments of ``write_titles``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--ids", dest="with_identity", action="store_true")
    parser.add_argument("--no-earnings", dest="with_target", action="store_false")
    lines = re.findall(r"^    gamesales simulate (.* data/\S+)$", (DATA / "README.md").read_text(), re.MULTILINE)
    return [vars(parser.parse_args(line.split())) for line in lines]


@pytest.fixture(scope="module")
def many():
    """200,000 titles, enough to judge shares to a few thousandths."""
    titles = simulate_table(200_000, seed=7)
    return {name: np.asarray(titles[name]) for name in titles.column_names}


@pytest.mark.parametrize("options", KINDS)
def test_same_seed_same_titles(options):
    """The same seed gives the same titles."""
    assert simulate_table(2_000, seed=3, **options).equals(simulate_table(2_000, seed=3, **options))


@pytest.mark.parametrize("options", KINDS)
def test_another_seed_other_titles(options):
    """Another seed gives other titles."""
    assert not simulate_table(2_000, seed=3, **options).equals(simulate_table(2_000, seed=4, **options))


@settings(max_examples=20, deadline=None)
@given(fewer=row_counts, more=row_counts, seed=st.integers(0, 2**64), continuous=st.booleans())
def test_shorter_simulation_is_a_prefix(fewer, more, seed, continuous):
    """A shorter simulation is the beginning of a longer one."""
    fewer, more = sorted((fewer, more))
    options = {"seed": seed, "continuous": continuous, "with_identity": True}
    assert simulate_table(fewer, **options).equals(simulate_table(more, **options).slice(0, fewer))


def test_optional_columns_change_nothing_else():
    """Names and earnings change no other column."""
    plain = simulate_table(CHUNK_ROWS + 5, seed=2)
    named = simulate_table(CHUNK_ROWS + 5, seed=2, with_identity=True, with_target=False)
    assert named.drop_columns(["title_id", "title"]).equals(plain.drop_columns(["total_earnings"]))


def test_chunks_differ():
    """Two chunks of a seed differ."""
    first, second = simulate(2 * CHUNK_ROWS, seed=2)
    assert not first.equals(second)


def test_column_order():
    """Features have the order of the contract, and the target is ninth."""
    names = simulate_table(1).column_names
    assert names[8] == "total_earnings"
    assert tuple(n for n in names if n != "total_earnings") == Contract.from_toml(DATA / "contract.toml").feature_names


@pytest.mark.parametrize("options", KINDS)
def test_csv_and_parquet_agree(tmp_path, options):
    """CSV and Parquet files have the same rows."""
    rows = CHUNK_ROWS + 100
    for name in ("titles.csv", "titles.PARQUET"):
        write_titles(tmp_path / name, rows, seed=5, **options)
    expected = simulate_table(rows, seed=5, **options)
    assert pq.read_table(tmp_path / "titles.PARQUET").equals(expected)
    assert read_csv_as(tmp_path / "titles.csv", expected.schema).equals(expected)


def test_shares_of_ratings_and_prices(many):
    """Ratings and prices have the documented shares."""
    for column, shares in {"critic_rating": store.RATINGS, "unit_price": store.PRICES}.items():
        values, counts = np.unique(many[column], return_counts=True)
        assert values.tolist() == list(shares)
        assert counts / 200_000 == pytest.approx(np.array(list(shares.values())) / 1000, abs=0.005)


def test_shares_of_flags(many):
    """Flags have the documented shares."""
    for name, share in (store.GENRES | store.FLAGS).items():
        assert set(np.unique(many[name])) == {0, 1}
        assert many[name].mean() == pytest.approx(share / 1000, abs=0.005)


def test_one_genre_per_title(many):
    """Each title has exactly one genre."""
    assert set(sum(many[name] for name in store.GENRES).tolist()) == {1}


def test_features_are_independent(many):
    """Features do not correlate, except for the genres."""
    features = [many[n] for n in store.COLUMNS if n not in ("total_earnings", "is_role_playing", "is_sports")]
    correlations = np.corrcoef(features) - np.eye(len(features))
    assert np.abs(correlations).max() < 0.015


def test_earnings_are_realistic(many):
    """The mean, spread and range of earnings resemble a real store."""
    earnings = many["total_earnings"]
    assert earnings.mean() == pytest.approx(110_000, rel=0.01)
    assert earnings.std() == pytest.approx(44_000, rel=0.03)
    assert 25_000 < earnings.min() < earnings.max() < 400_000


def test_noise_is_one_percent(many):
    """Earnings are the expected earnings times noise of 1%."""
    ratio = many["total_earnings"] / compute_expected_earnings(many)
    assert ratio.mean() == pytest.approx(1, abs=1e-4)
    assert np.log(ratio).std() == pytest.approx(store.NOISE, rel=0.01)


def test_noise_is_independent(many):
    """The noise does not correlate with any feature."""
    residual = np.log(many["total_earnings"] / compute_expected_earnings(many))
    for name in set(store.COLUMNS) - {"total_earnings"}:
        assert abs(np.corrcoef(residual, many[name])[0, 1]) < 0.015


def test_formula_by_hand():
    """A title by hand, with every effect except those of action and sports."""
    title = dict.fromkeys(store.COLUMNS, 1) | {"is_action": 0, "is_sports": 0}
    title |= {"critic_rating": 4.5, "unit_price": 59.99}
    price, stars = math.log(59.99 / 50), math.tanh(0.75)
    flags = 0.11 + 0.42 + 0.19 + 0.27 + 0.05
    pairs = 0.16 * stars + 0.14 - 0.25 * price + 0.12
    by_hand = 47_000 * math.exp(0.80 * price + 0.56 * stars + flags + pairs)
    assert compute_expected_earnings({k: [v] for k, v in title.items()}) == pytest.approx([by_hand])


def test_formula_takes_any_table():
    """The formula takes arrays, Arrow tables and batches, and pandas data frames."""
    batch = next(simulate(50))
    arrays = {name: np.asarray(batch[name]) for name in batch.schema.names}
    expected = compute_expected_earnings(arrays).tolist()
    assert compute_expected_earnings(batch).tolist() == expected
    assert compute_expected_earnings(pa.table(batch)).tolist() == expected
    pandas = pytest.importorskip("pandas")
    assert compute_expected_earnings(pandas.DataFrame(arrays)).tolist() == expected


def test_docstring_lists_constants():
    """The module docstring states every effect and constant."""
    for factors, effect in store.EFFECTS.items():
        stated = rf"\b{' × '.join(factors)}( = \S+ .*?\))?  +{re.escape(f'{effect:+.2f}')}\b"
        assert re.search(stated, store.__doc__), factors
    assert len(re.findall(r"[+-]0\.\d\d\b", store.__doc__)) == len(store.EFFECTS)
    assert f"total_earnings = {store.BASE_EARNINGS:,.0f} · exp" in store.__doc__
    assert f"standard deviation of {store.NOISE} in the logarithm" in store.__doc__


def test_shares_add_up():
    """The shares add up to 1000."""
    for shares in (store.RATINGS, store.PRICES, store.GENRES):
        assert sum(shares.values()) == 1000


def test_continuous_titles_are_distinct():
    """Almost all continuous titles have distinct features in the documented ranges."""
    titles = simulate_table(50_000, continuous=True)
    distinct = titles.drop_columns(["total_earnings"]).group_by(store.make_schema(with_target=False).names)
    assert distinct.aggregate([]).num_rows > 49_950
    for name, low, high in (("critic_rating", 0, 5), ("unit_price", 20, 70)):
        values = np.asarray(titles[name])
        assert (values.min(), values.max()) == pytest.approx((low, high), abs=0.02)
        assert low <= values.min() < values.max() <= high


def test_ids_number_the_rows():
    """The id of a title is its row number."""
    ids = simulate_table(CHUNK_ROWS + 3, with_identity=True)["title_id"].to_pylist()
    assert ids[0] == "T0000001"
    assert ids == [f"T{row:07d}" for row in range(1, CHUNK_ROWS + 4)]


def test_names_of_899_titles_differ():
    """The names of 899 consecutive titles differ, and sequels are part two."""
    titles = simulate_table(899, with_identity=True)
    names = titles["title"].to_pylist()
    assert len({name.removesuffix(" II") for name in names}) == 899
    assert [name.endswith(" II") for name in names] == [s == 1 for s in titles["is_sequel"].to_pylist()]


def test_readme_lists_shipped_tables():
    """data/README.md has the command of each shipped table."""
    names = [command["output"].name for command in find_recorded_commands()]
    assert names == ["sales_data_training.csv", "sales_data_test.csv", "new_titles.csv"]


@pytest.mark.parametrize("command", find_recorded_commands(), ids=lambda command: command["output"].stem)
def test_shipped_table_is_reproduced(tmp_path, command):
    """The recorded command writes the shipped table byte for byte."""
    shipped = ROOT / command.pop("output")
    write_titles(tmp_path / "again.csv", **command)
    assert (tmp_path / "again.csv").read_bytes() == shipped.read_bytes()


def test_training_and_test_titles_differ():
    """No row is in both the training and the test titles."""
    training, test = ((DATA / f"sales_data_{part}.csv").read_text().splitlines()[1:] for part in ("training", "test"))
    assert (len(training), len(test)) == (1000, 400)
    assert not set(training) & set(test)


@pytest.mark.parametrize("options", KINDS)
def test_zero_rows_make_an_empty_table(tmp_path, options):
    """Zero rows make a file with columns only."""
    for name in ("none.csv", "none.parquet"):
        write_titles(tmp_path / name, 0, **options)
    expected = pq.read_table(tmp_path / "none.parquet")
    assert expected.num_rows == 0
    assert (tmp_path / "none.csv").read_text() == ",".join(expected.column_names) + "\n"


@pytest.mark.parametrize("name", ["titles.xlsx", "titles", "titles.csv.gz", ".csv"])
def test_other_suffix_is_refused(tmp_path, name):
    """Another suffix is refused, and the hint has a valid suffix."""
    with pytest.raises(UsageError, match=r"expected a name that ends in \.csv or \.parquet") as caught:
        write_titles(tmp_path / name, 10)
    assert re.match(r"Try: --output '.*\.csv'$", caught.value.hint)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [{"rows": -1}, {"rows": 1, "seed": -5}])
def test_negative_number_is_refused(tmp_path, arguments):
    """A negative number is refused before anything is written."""
    with pytest.raises(UsageError, match=r"(rows|seed): expected 0 or more, received -\d"):
        simulate(**arguments)
    with pytest.raises(UsageError):
        write_titles(tmp_path / "titles.csv", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_named(tmp_path):
    """The error names the missing folder, and the hint creates it."""
    with pytest.raises(UsageError, match="no folder") as caught:
        write_titles(tmp_path / "new" / "titles.csv", 10)
    assert caught.value.hint == f"mkdir -p '{tmp_path}/new'"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_failed_write_leaves_old_file(tmp_path, monkeypatch, suffix):
    """A write that fails halfway leaves the old file."""
    path = tmp_path / f"titles{suffix}"
    path.write_text("old")
    draw = store._draw

    def interrupted(seed, number, continuous):
        if number == 1:
            raise KeyboardInterrupt
        return draw(seed, number, continuous)

    monkeypatch.setattr(store, "_draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_titles(path, 2 * CHUNK_ROWS)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_full_disk_can_be_retried(tmp_path, suffix):
    """A full disk is reported and leaves nothing. A file size limit stands for the disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TryAgainError, match=f"can't write .*titles{suffix}: File too large"):
            write_titles(tmp_path / f"titles{suffix}", 3 * CHUNK_ROWS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def run_simulation(path, rows, then):
    code = "import resource, sys; from pathlib import Path; from gamesales.data.simulate import write_titles; "
    code += f"write_titles(Path({str(path)!r}), {rows}, with_identity=True); {then}"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_pandas_is_not_imported(tmp_path, suffix):
    """Simulating does not import pandas."""
    imported = run_simulation(tmp_path / f"titles{suffix}", 10, "print('pandas' in sys.modules)")
    assert imported == "False\n"


@pytest.mark.slow
def test_memory_is_flat(tmp_path):
    """Memory does not grow with the number of rows."""
    peak = "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"  # kB on Linux
    few, many = (int(run_simulation(tmp_path / "t.parquet", n, peak)) for n in (500_000, 5_000_000))
    assert many - few < 50_000
