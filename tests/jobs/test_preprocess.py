"""``gamesales preprocess``: the scaled files and the note of the course."""

import csv

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.preprocessing import MinMaxScaler

from support.versions import DATA, FEATURES

# In the course's files, the target is column 9 of 10.
COLUMNS = [*FEATURES[:-1], "total_earnings", FEATURES[-1]]
TRAINING = [
    [3.0, 1, 0, 1, 0, 1, 0, 0, 31_355, 59.99],
    [4.5, 0, 0, 0, 0, 1, 1, 0, 301_860, 49.99],
    [2.0, 0, 1, 0, 1, 0, 0, 0, 83_407, 39.99],
]
# A higher rating, price and earnings than in training.
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
    """Run the command with the shipped contract."""
    return lambda *arguments: cli("preprocess", *arguments, "--contract", DATA / "contract.toml")


def test_note_matches_course(preprocess, files, tmp_path):
    """The note for the target is the line that the course prints."""
    ran = preprocess(*files)
    assert 0 == ran.code
    assert [NOTE, f"wrote {tmp_path}/past_scaled.csv and {tmp_path}/new_scaled.csv"] == ran.out.splitlines()


def test_scaled_files_match_course(preprocess, files, tmp_path):
    """The scaled files are the files that the course's script writes."""
    preprocess(*files)
    scaler = MinMaxScaler(feature_range=(0, 1)).fit(pd.read_csv(files[0]))
    for name in ("past", "new"):
        expected = scaler.transform(pd.read_csv(tmp_path / f"{name}.csv"))
        written = pd.read_csv(tmp_path / f"{name}_scaled.csv")
        assert COLUMNS == list(written.columns)
        np.testing.assert_allclose(written.to_numpy(), expected, rtol=0, atol=1e-15)


def test_scaler_fits_training_file(preprocess, files, tmp_path):
    """The scaler is fitted on the training file, so test values may leave 0 to 1."""
    preprocess(*files)
    scaled = pd.read_csv(tmp_path / "new_scaled.csv")
    assert scaled["critic_rating"][0] > 1
    assert scaled["total_earnings"][0] > 1
    first = (tmp_path / "past_scaled.csv").read_bytes()
    write_csv(tmp_path / "new.csv", TEST[1:])
    preprocess(*files)
    assert first == (tmp_path / "past_scaled.csv").read_bytes()


def test_constant_column(preprocess, files, tmp_path):
    """A constant column becomes zero."""
    preprocess(*files)
    assert [0.0, 0.0, 0.0] == pd.read_csv(tmp_path / "past_scaled.csv")["suitable_for_kids"].tolist()


def test_verbose_notes(preprocess, files):
    """--verbose prints a note for each column."""
    lines = preprocess(*files, "--verbose").out.splitlines()
    assert NOTE == lines[0]
    assert list(FEATURES) == [line.split()[1] for line in lines[1:-1]]
    assert "Note: unit_price values were scaled by multiplying by 0.0500000000 and adding -1.999500" == lines[-2]


def test_preprocess_json(preprocess, files, tmp_path):
    """The document has the files and all notes."""
    document = preprocess(*files, "--json").document
    assert (f"{tmp_path}/past_scaled.csv", f"{tmp_path}/new_scaled.csv") == (document["training"], document["test"])
    assert 10 == len(document["notes"])
    assert NOTE == document["notes"][0]


def test_column_order_is_kept(preprocess, files, tmp_path):
    """Columns keep the order of their file, and unknown columns are left out."""
    backwards = write_csv(
        tmp_path / "new.csv", [["x", *reversed(row)] for row in TEST], header=["title", *reversed(COLUMNS)]
    )
    preprocess(files[0], backwards)
    assert COLUMNS == list(pd.read_csv(tmp_path / "past_scaled.csv").columns)
    assert COLUMNS[::-1] == list(pd.read_csv(tmp_path / "new_scaled.csv").columns)


def test_parquet_matches_csv(preprocess, files, tmp_path):
    """A Parquet file is scaled to the same CSV."""
    preprocess(*files)
    expected = (tmp_path / "past_scaled.csv").read_bytes()
    (tmp_path / "past_scaled.csv").unlink()
    columns = np.array(TRAINING).T
    parquet.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), tmp_path / "past.parquet")
    assert 0 == preprocess(tmp_path / "past.parquet", files[1]).code
    assert expected == (tmp_path / "past_scaled.csv").read_bytes()


def test_digits_match_scikit_learn(preprocess, tmp_path):
    """Numbers are written with all digits, as scikit-learn computes them."""
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
def test_bad_file_leaves_no_output(preprocess, files, tmp_path, which, edit, message):
    """If one file is bad, neither output is written."""
    write_csv(files[which], edit([TRAINING, TEST][which]))
    before = sorted(tmp_path.iterdir())
    ran = preprocess(*files)
    assert 3 == ran.code
    assert ran.err.startswith((f"error: {files[which]}: ", f"error: {files[which]} has "))
    assert message in ran.err
    assert before == sorted(tmp_path.iterdir())


def test_unwritable_output(preprocess, files, tmp_path):
    """If one output can't be written, neither is."""
    (tmp_path / "new_scaled.csv").mkdir()
    before = sorted(tmp_path.iterdir())
    ran = preprocess(*files)
    assert 2 == ran.code
    assert f"{tmp_path}/new_scaled.csv" in ran.err
    assert before == sorted(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("training", "test"), [("past.csv", "past_scaled.csv"), ("new_scaled.csv", "new.csv"), ("past.csv", "past.parquet")]
)
def test_outputs_overwrite_nothing(preprocess, files, tmp_path, training, test):
    """The outputs overwrite neither an input nor each other."""
    ran = preprocess(tmp_path / training, tmp_path / test)
    assert 2 == ran.code
    assert "expected four different files" in ran.err


def test_missing_file(preprocess, files, tmp_path):
    """The error names a missing file."""
    ran = preprocess(files[0], tmp_path / "nowhere.csv")
    assert 3 == ran.code
    assert f"no file {tmp_path}/nowhere.csv" in ran.err
    assert not (tmp_path / "past_scaled.csv").exists()
