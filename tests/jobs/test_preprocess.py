"""``gamesales preprocess``: the course's scaled files and its printed note."""

import csv

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.preprocessing import MinMaxScaler

from support.versions import DATA, FEATURES

# In the course's files the target stands ninth of ten.
COLUMNS = [*FEATURES[:-1], "total_earnings", FEATURES[-1]]
TRAINING = [
    [3.0, 1, 0, 1, 0, 1, 0, 0, 31_355, 59.99],
    [4.5, 0, 0, 0, 0, 1, 1, 0, 301_860, 49.99],
    [2.0, 0, 1, 0, 1, 0, 0, 0, 83_407, 39.99],
]
# Better, dearer and more earned than anything in training.
TEST = [[5.0, 1, 1, 0, 0, 0, 0, 0, 400_000, 69.99], [2.0, 0, 0, 1, 1, 1, 1, 0, 100_000, 39.99]]
NOTE = "Note: total_earnings values were scaled by multiplying by 0.0000036968 and adding -0.115913"


def write_csv(path, rows, header=COLUMNS):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def files(tmp_path):
    return write_csv(tmp_path / "past.csv", TRAINING), write_csv(tmp_path / "new.csv", TEST)


@pytest.fixture
def preprocess(cli):
    """Run the command with the project's contract."""
    return lambda *arguments: cli("preprocess", *arguments, "--contract", DATA / "contract.toml")


def test_the_note_is_the_courses_own_line(preprocess, files, tmp_path):
    """For a target that runs from 31,355 to 301,860 dollars, as the course's does."""
    ran = preprocess(*files)
    assert 0 == ran.code
    assert [NOTE, f"wrote {tmp_path}/past_scaled.csv and {tmp_path}/new_scaled.csv"] == ran.out.splitlines()


def test_scaled_files_are_what_the_courses_script_writes(preprocess, files, tmp_path):
    preprocess(*files)
    scaler = MinMaxScaler(feature_range=(0, 1)).fit(pd.read_csv(files[0]))
    for name in ("past", "new"):
        expected = scaler.transform(pd.read_csv(tmp_path / f"{name}.csv"))
        written = pd.read_csv(tmp_path / f"{name}_scaled.csv")
        assert COLUMNS == list(written.columns)
        np.testing.assert_allclose(written.to_numpy(), expected, rtol=0, atol=1e-15)


def test_the_scaler_learns_from_the_training_file_alone(preprocess, files, tmp_path):
    """So a test title may leave 0 to 1, and another test file changes nothing in the scaled training file."""
    preprocess(*files)
    scaled = pd.read_csv(tmp_path / "new_scaled.csv")
    assert scaled["critic_rating"][0] > 1
    assert scaled["total_earnings"][0] > 1
    first = (tmp_path / "past_scaled.csv").read_bytes()
    write_csv(tmp_path / "new.csv", TEST[1:])
    preprocess(*files)
    assert first == (tmp_path / "past_scaled.csv").read_bytes()


def test_a_column_that_never_changes_becomes_zero(preprocess, files, tmp_path):
    preprocess(*files)
    assert [0.0, 0.0, 0.0] == pd.read_csv(tmp_path / "past_scaled.csv")["suitable_for_kids"].tolist()


def test_verbose_tells_how_every_column_was_scaled(preprocess, files):
    lines = preprocess(*files, "--verbose").out.splitlines()
    assert NOTE == lines[0]
    assert list(FEATURES) == [line.split()[1] for line in lines[1:-1]]
    assert "Note: unit_price values were scaled by multiplying by 0.0500000000 and adding -1.999500" == lines[-2]


def test_json_gives_the_files_and_every_note(preprocess, files, tmp_path):
    document = preprocess(*files, "--json").document
    assert (f"{tmp_path}/past_scaled.csv", f"{tmp_path}/new_scaled.csv") == (document["training"], document["test"])
    assert 10 == len(document["notes"])
    assert NOTE == document["notes"][0]


def test_columns_keep_the_order_of_their_own_file_and_unknown_ones_are_left_out(preprocess, files, tmp_path):
    backwards = write_csv(
        tmp_path / "new.csv", [["x", *reversed(row)] for row in TEST], header=["title", *reversed(COLUMNS)]
    )
    preprocess(files[0], backwards)
    assert COLUMNS == list(pd.read_csv(tmp_path / "past_scaled.csv").columns)
    assert COLUMNS[::-1] == list(pd.read_csv(tmp_path / "new_scaled.csv").columns)


def test_parquet_is_scaled_to_the_same_csv(preprocess, files, tmp_path):
    preprocess(*files)
    expected = (tmp_path / "past_scaled.csv").read_bytes()
    (tmp_path / "past_scaled.csv").unlink()
    columns = np.array(TRAINING).T
    parquet.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), tmp_path / "past.parquet")
    assert 0 == preprocess(tmp_path / "past.parquet", files[1]).code
    assert expected == (tmp_path / "past_scaled.csv").read_bytes()


def test_the_shipped_titles_scale_to_the_same_digits_as_scikit_learn(preprocess, tmp_path):
    """Every number is written so that reading gives it back, not rounded to what looks tidy."""
    past, new = tmp_path / "a.csv", tmp_path / "b.csv"
    past.write_bytes((DATA / "sales_data_training.csv").read_bytes())
    new.write_bytes((DATA / "sales_data_test.csv").read_bytes())
    assert 0 == preprocess(past, new).code
    scaler = MinMaxScaler().fit(pd.read_csv(past))
    written = np.loadtxt(tmp_path / "b_scaled.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(written, scaler.transform(pd.read_csv(new)))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: [[row[0], 7, *row[2:]] for row in rows], "row 1: is_action: out of range, allowed: 0 or 1"),
        (lambda rows: [], "has no rows"),
        (lambda rows: [[*row[:8], "a lot", row[9]] for row in rows], "row 1: total_earnings: not a number"),
    ],
)
def test_one_bad_file_leaves_no_output_at_all(preprocess, files, tmp_path, which, edit, message):
    write_csv(files[which], edit([TRAINING, TEST][which]))
    before = sorted(tmp_path.iterdir())
    ran = preprocess(*files)
    assert 3 == ran.code
    assert f"{files[which]} has " in ran.err
    assert message in ran.err
    assert before == sorted(tmp_path.iterdir())


def test_a_test_file_that_can_not_be_written_leaves_no_scaled_training_file_either(preprocess, files, tmp_path):
    (tmp_path / "new_scaled.csv").mkdir()
    before = sorted(tmp_path.iterdir())
    ran = preprocess(*files)
    assert 2 == ran.code
    assert f"{tmp_path}/new_scaled.csv" in ran.err
    assert before == sorted(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("training", "test"), [("past.csv", "past_scaled.csv"), ("new_scaled.csv", "new.csv"), ("past.csv", "past.parquet")]
)
def test_what_was_given_is_never_overwritten_nor_one_output_by_the_other(preprocess, files, tmp_path, training, test):
    ran = preprocess(tmp_path / training, tmp_path / test)
    assert 2 == ran.code
    assert "expected files of their own" in ran.err


def test_a_missing_file_is_named(preprocess, files, tmp_path):
    ran = preprocess(files[0], tmp_path / "nowhere.csv")
    assert 3 == ran.code
    assert f"no file {tmp_path}/nowhere.csv" in ran.err
    assert not (tmp_path / "past_scaled.csv").exists()
