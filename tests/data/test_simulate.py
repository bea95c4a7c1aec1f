"""The simulated store: its formula, its shares, and files that can be made again."""

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
from gamesales.data.simulate import CHUNK, expected_earnings, simulate, write_titles
from gamesales.errors import TryAgainError, UsageError

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
KINDS = [{}, {"continuous": True}, {"with_identity": True}, {"with_identity": True, "with_target": False}]

row_counts = st.integers(0, 2 * CHUNK + 10) | st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])


def table(rows, **options):
    schema = store.schema(**{k: v for k, v in options.items() if k.startswith("with_")})
    return pa.Table.from_batches(simulate(rows, **options), schema=schema)


def as_read_from_csv(path, schema):
    types = pa_csv.ConvertOptions(column_types=schema)
    return pa_csv.read_csv(path, convert_options=types)


def recorded_commands():
    """Return the commands of data/README.md that make files in data/, as arguments of ``write_titles``."""
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
    titles = table(200_000, seed=7)
    return {name: np.asarray(titles[name]) for name in titles.column_names}


@pytest.mark.parametrize("options", KINDS)
def test_the_same_seed_gives_the_same_titles(options):
    assert table(2_000, seed=3, **options).equals(table(2_000, seed=3, **options))


@pytest.mark.parametrize("options", KINDS)
def test_another_seed_gives_other_titles(options):
    assert not table(2_000, seed=3, **options).equals(table(2_000, seed=4, **options))


@settings(max_examples=20, deadline=None)
@given(fewer=row_counts, more=row_counts, seed=st.integers(0, 2**64), continuous=st.booleans())
def test_a_shorter_simulation_is_the_beginning_of_a_longer_one(fewer, more, seed, continuous):
    fewer, more = sorted((fewer, more))
    options = {"seed": seed, "continuous": continuous, "with_identity": True}
    assert table(fewer, **options).equals(table(more, **options).slice(0, fewer))


def test_names_and_earnings_change_no_other_column():
    plain = table(CHUNK + 5, seed=2)
    named = table(CHUNK + 5, seed=2, with_identity=True, with_target=False)
    assert named.drop_columns(["title_id", "title"]).equals(plain.drop_columns(["total_earnings"]))


def test_chunks_of_one_seed_differ():
    first, second = simulate(2 * CHUNK, seed=2)
    assert not first.equals(second)


def test_columns_stand_in_the_order_of_the_contract_with_the_target_ninth():
    names = table(1).column_names
    assert names[8] == "total_earnings"
    assert tuple(n for n in names if n != "total_earnings") == Contract.from_toml(DATA / "contract.toml").feature_names


@pytest.mark.parametrize("options", KINDS)
def test_csv_and_parquet_hold_the_same_rows(tmp_path, options):
    rows = CHUNK + 100
    for name in ("titles.csv", "titles.PARQUET"):
        write_titles(tmp_path / name, rows, seed=5, **options)
    expected = table(rows, seed=5, **options)
    assert pq.read_table(tmp_path / "titles.PARQUET").equals(expected)
    assert as_read_from_csv(tmp_path / "titles.csv", expected.schema).equals(expected)


def test_shares_of_ratings_and_prices_are_as_documented(many):
    for column, shares in {"critic_rating": store.RATINGS, "unit_price": store.PRICES_USD}.items():
        values, counts = np.unique(many[column], return_counts=True)
        assert values.tolist() == list(shares)
        assert counts / 200_000 == pytest.approx(np.array(list(shares.values())) / 1000, abs=0.005)


def test_shares_of_flags_are_as_documented(many):
    for name, share in (store.GENRES | store.FLAGS).items():
        assert set(np.unique(many[name])) == {0, 1}
        assert many[name].mean() == pytest.approx(share / 1000, abs=0.005)


def test_each_title_has_exactly_one_genre(many):
    assert set(sum(many[name] for name in store.GENRES).tolist()) == {1}


def test_features_are_drawn_independently(many):
    """But for the genres, of which each title has one."""
    features = [many[n] for n in store.COLUMNS if n not in ("total_earnings", "is_role_playing", "is_sports")]
    correlations = np.corrcoef(features) - np.eye(len(features))
    assert np.abs(correlations).max() < 0.015


def test_earnings_resemble_a_real_stores(many):
    earnings = many["total_earnings"]
    assert earnings.mean() == pytest.approx(110_000, rel=0.01)
    assert earnings.std() == pytest.approx(44_000, rel=0.03)
    assert 25_000 < earnings.min() < earnings.max() < 400_000


def test_earnings_are_the_expected_ones_times_noise_of_one_percent(many):
    ratio = many["total_earnings"] / expected_earnings(many)
    assert ratio.mean() == pytest.approx(1, abs=1e-4)
    assert np.log(ratio).std() == pytest.approx(store.NOISE, rel=0.01)


def test_the_noise_depends_on_no_feature(many):
    residual = np.log(many["total_earnings"] / expected_earnings(many))
    for name in set(store.COLUMNS) - {"total_earnings"}:
        assert abs(np.corrcoef(residual, many[name])[0, 1]) < 0.015


def test_expected_earnings_follow_the_documented_formula():
    """One title by hand, with every effect but those of action and sports."""
    title = dict.fromkeys(store.COLUMNS, 1) | {"is_action": 0, "is_sports": 0}
    title |= {"critic_rating": 4.5, "unit_price": 59.99}
    price, stars = math.log(59.99 / 50), math.tanh(0.75)
    flags = 0.11 + 0.42 + 0.19 + 0.27 + 0.05
    pairs = 0.16 * stars + 0.14 - 0.25 * price + 0.12
    by_hand = 47_000 * math.exp(0.80 * price + 0.56 * stars + flags + pairs)
    assert expected_earnings({k: [v] for k, v in title.items()}) == pytest.approx([by_hand])


def test_expected_earnings_take_arrow_and_pandas_and_arrays():
    batch = next(simulate(50))
    arrays = {name: np.asarray(batch[name]) for name in batch.schema.names}
    expected = expected_earnings(arrays).tolist()
    assert expected_earnings(batch).tolist() == expected
    assert expected_earnings(pa.table(batch)).tolist() == expected
    pandas = pytest.importorskip("pandas")
    assert expected_earnings(pandas.DataFrame(arrays)).tolist() == expected


def test_the_docstring_states_every_constant():
    for factors, effect in store.EFFECTS.items():
        stated = rf"\b{' × '.join(factors)}( = \S+ .*?\))?  +{re.escape(f'{effect:+.2f}')}\b"
        assert re.search(stated, store.__doc__), factors
    assert len(re.findall(r"[+-]0\.\d\d\b", store.__doc__)) == len(store.EFFECTS)
    assert f"total_earnings = {store.BASE_USD:,.0f} · exp" in store.__doc__
    assert f"standard deviation of {store.NOISE} in the logarithm" in store.__doc__


def test_shares_are_thousandths_of_a_whole():
    for shares in (store.RATINGS, store.PRICES_USD, store.GENRES):
        assert sum(shares.values()) == 1000


def test_continuous_titles_are_practically_all_distinct():
    titles = table(50_000, continuous=True)
    distinct = titles.drop_columns(["total_earnings"]).group_by(store.schema(with_target=False).names)
    assert distinct.aggregate([]).num_rows > 49_950
    for name, low, high in (("critic_rating", 0, 5), ("unit_price", 20, 70)):
        values = np.asarray(titles[name])
        assert (values.min(), values.max()) == pytest.approx((low, high), abs=0.02)
        assert low <= values.min() < values.max() <= high


def test_ids_number_the_rows_and_never_repeat():
    ids = table(CHUNK + 3, with_identity=True)["title_id"].to_pylist()
    assert ids[0] == "T0000001"
    assert ids == [f"T{row:07d}" for row in range(1, CHUNK + 4)]


def test_names_of_899_titles_in_a_row_differ_and_sequels_are_part_two():
    titles = table(899, with_identity=True)
    names = titles["title"].to_pylist()
    assert len({name.removesuffix(" II") for name in names}) == 899
    assert [name.endswith(" II") for name in names] == [s == 1 for s in titles["is_sequel"].to_pylist()]


def test_the_readme_of_data_records_how_each_shipped_table_was_made():
    made = [command["output"].name for command in recorded_commands()]
    assert made == ["sales_data_training.csv", "sales_data_test.csv", "new_titles.csv"]


@pytest.mark.parametrize("command", recorded_commands(), ids=lambda command: command["output"].stem)
def test_a_shipped_table_is_reproduced_byte_for_byte(tmp_path, command):
    shipped = ROOT / command.pop("output")
    write_titles(tmp_path / "again.csv", **command)
    assert (tmp_path / "again.csv").read_bytes() == shipped.read_bytes()


def test_training_and_test_titles_have_no_row_in_common():
    training, test = ((DATA / f"sales_data_{part}.csv").read_text().splitlines()[1:] for part in ("training", "test"))
    assert (len(training), len(test)) == (1000, 400)
    assert not set(training) & set(test)


@pytest.mark.parametrize("options", KINDS)
def test_no_rows_make_a_table_with_columns_alone(tmp_path, options):
    for name in ("none.csv", "none.parquet"):
        write_titles(tmp_path / name, 0, **options)
    expected = pq.read_table(tmp_path / "none.parquet")
    assert expected.num_rows == 0
    assert (tmp_path / "none.csv").read_text() == ",".join(expected.column_names) + "\n"


@pytest.mark.parametrize("name", ["titles.xlsx", "titles", "titles.csv.gz", ".csv"])
def test_another_suffix_is_refused_with_one_that_works(tmp_path, name):
    with pytest.raises(UsageError, match=r"expected a name that ends in \.csv or \.parquet") as caught:
        write_titles(tmp_path / name, 10)
    assert re.match(r"Try: --output '.*\.csv'$", caught.value.hint)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [{"rows": -1}, {"rows": 1, "seed": -5}])
def test_a_negative_number_is_refused_before_anything_is_written(tmp_path, arguments):
    with pytest.raises(UsageError, match=r"(rows|seed): expected 0 or more, received -\d"):
        simulate(**arguments)
    with pytest.raises(UsageError):
        write_titles(tmp_path / "titles.csv", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UsageError, match="no folder") as caught:
        write_titles(tmp_path / "new" / "titles.csv", 10)
    assert caught.value.hint == f"mkdir -p '{tmp_path}/new'"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_write_that_fails_halfway_leaves_the_old_file_alone(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"titles{suffix}"
    path.write_text("old")
    draw = store._draw

    def interrupted(seed, number, continuous):
        if number == 1:
            raise KeyboardInterrupt
        return draw(seed, number, continuous)

    monkeypatch.setattr(store, "_draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_titles(path, 2 * CHUNK)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_full_disk_is_a_reason_to_try_again_and_leaves_nothing(tmp_path, suffix):
    """A limit on the size of files stands for the disk: the writer of Arrow meets it in the same place."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TryAgainError, match=f"can't write .*titles{suffix}: File too large"):
            write_titles(tmp_path / f"titles{suffix}", 3 * CHUNK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def run_simulation(path, rows, then):
    code = "import resource, sys; from pathlib import Path; from gamesales.data.simulate import write_titles; "
    code += f"write_titles(Path({str(path)!r}), {rows}, with_identity=True); {then}"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_simulating_does_not_import_pandas(tmp_path, suffix):
    imported = run_simulation(tmp_path / f"titles{suffix}", 10, "print('pandas' in sys.modules)")
    assert imported == "False\n"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path):
    peak = "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"  # kB on Linux
    few, many = (int(run_simulation(tmp_path / "t.parquet", n, peak)) for n in (500_000, 5_000_000))
    assert many - few < 50_000
