"""Tables fit the terminal: no broken word, no cut figure, and everything in a pipe."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.cli.table import format_table
from gamesales.cli.terminal import measure, use_screen_of
from support.terminals import terminals

HEADER = ["version", "alias", "MAE", "reason"]
ROWS = [["12", "champion", "$1,234", "fewer large errors for cheap titles"], ["3", "-", "-", "first"]]
words = st.text("abcdefghij-éß漢字", min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=12).map(" ".join)
figures = st.integers(-(10**9), 10**9).map(lambda number: f"${number:,}") | st.just("-")


def lay_out(width, rows=ROWS, header=HEADER, **options):
    with terminals(width) as (out, _), use_screen_of(out) as screen:
        return format_table(header, rows, **options), list(screen.left_out)


def test_pipe_has_everything():
    """A pipe gets every column, and one line for each row."""
    with use_screen_of(io.StringIO()):
        lines = format_table(HEADER, ROWS, optional=HEADER).splitlines()
    assert [
        "version  alias        MAE  reason",
        "     12  champion  $1,234  fewer large errors for cheap titles",
        "      3  -              -  first",
    ] == lines


def test_texts_are_broken_between_words():
    """A text that does not fit continues below itself."""
    text, left_out = lay_out(50)
    assert "     12  champion  $1,234  fewer large errors for\n                           cheap titles\n" in text
    assert left_out == []


def test_least_important_column_goes_first():
    """A narrow terminal leaves out optional columns in their order, and reports them."""
    text, left_out = lay_out(40, optional=["alias", "MAE"])
    assert text.startswith("version     MAE  reason\n     12  $1,234  ")
    assert left_out == ["alias"]
    assert lay_out(30, optional=["alias", "MAE"])[1] == ["alias", "MAE"]


def test_narrow_terminal_lists_cells():
    """If the columns do not fit, each row is a list of all its cells."""
    text, left_out = lay_out(20, optional=["MAE"])
    assert text.startswith("version  12\nalias    champion\nMAE      $1,234\nreason   fewer")
    assert left_out == []


def test_wide_letters_stay_aligned():
    """Letters that take two columns of a terminal count as two."""
    text, _ = lay_out(80, [["1", "漢字", "$1", "x"], ["2", "ab", "$2", "y"]])
    assert len({measure(line) for line in text.splitlines()[1:]}) == 1


@pytest.mark.parametrize("width", [60, 80, 120])
@given(data=st.data())
def test_table_fits(width, data):
    """Every cell of a shown column is in the table in whole words, and no line is wider than the terminal."""
    kinds = data.draw(st.lists(st.sampled_from([texts, figures, words]), min_size=1, max_size=7))
    rows = data.draw(st.lists(st.tuples(*kinds), max_size=4))
    header = [f"column{number}" for number in range(len(kinds))]
    text, left_out = lay_out(width, rows, header, optional=header[1:4])
    for row in rows:
        for heading, cell in zip(header, row, strict=True):
            assert heading in left_out or all(word in text.split() for word in cell.split())
    is_table = text.split("\n")[0].split() == [heading for heading in header if heading not in left_out]
    assert not is_table or all(measure(line) <= width for line in text.splitlines())
    assert set(left_out) <= set(header[1:4])
