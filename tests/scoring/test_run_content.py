"""The highest and the lowest predictions of a run, and its rejects by reason."""

import csv

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from gamesales.scoring.run_content import RunContent, choose_columns, find_extremes, group_rejects, open_files


def content_of(predictions, rows):
    """The content of a run with these predictions, in pieces of some rows."""
    table = pa.table(
        {"title_id": [f"T{number}" for number in range(len(predictions))], "predicted_earnings": predictions}
    )
    pieces = [table.slice(start, rows) for start in range(0, len(predictions), rows)]
    return RunContent(lambda choose: (piece.select(choose(table.column_names)) for piece in pieces), list)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.5, 1e6]), max_size=60), st.integers(1, 20), st.integers(1, 5))
def test_extremes_are_those_of_a_sort(predictions, rows, count):
    """The extremes are those of a stable sort of all rows, however the rows are cut into pieces."""
    highest, lowest = find_extremes(content_of(predictions, rows), count)
    order = np.argsort(predictions, kind="stable")
    assert [(f"T{row}",) for row in order[:count]] == [title.labels for title in lowest]
    order = np.argsort(-np.array(predictions), kind="stable")
    assert [(f"T{row}",) for row in order[:count]] == [title.labels for title in highest]
    assert [title.number for title in highest] == [row + 1 for row in order[:count].tolist()]


def test_chosen_columns():
    """At most three copied columns are read, and the predictions."""
    names = ["a", "b", "c", "d", "predicted_earnings", "outside_training_range", "model_version"]
    assert ["a", "b", "c", "predicted_earnings", "outside_training_range"] == choose_columns(names)


def test_rejects_of_several_files(tmp_path):
    """Files with and without a header are counted together; the first rows of each reason are kept."""
    header = ["file", "row", "column", "value", "reason", "record"]
    rows = [
        ["a.csv", str(number), "price", "x\ny", f"price: reason {number % 2}", "x" * 200_000] for number in range(10)
    ]
    for name, lines in (("1.csv", [header, *rows]), ("2.csv", rows[:3])):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    groups = group_rejects(open_files([], [tmp_path / "1.csv", tmp_path / "2.csv"], ".csv"), 2)
    assert {"price: reason 0": 7, "price: reason 1": 6} == {reason: group.rows for reason, group in groups.items()}
    assert [("a.csv", "1", "price", "x\ny"), ("a.csv", "3", "price", "x\ny")] == groups["price: reason 1"].first
