"""Texts become codes: the same code for the same text, whatever type the column has."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamesales.data.categories import (
    MISSING,
    OTHER,
    UNSEEN,
    choose_values,
    count_categories,
    encode_categories,
    format_code,
    list_codes,
    list_distinct_texts,
)
from gamesales.data.contract import Column

GENRE = Column("genre", "category", values=("Action", "RPG", "2006"))


def encode(cells, column=GENRE, missing_values=(), arrow_type=None):
    codes, missing = encode_categories(pa.array(cells, arrow_type), column, missing_values)
    return codes.tolist(), missing.tolist()


def test_codes_of_values():
    """A value has its place in the contract, other text is 0, and a missing cell rejects its row."""
    cells = ["Action", "RPG", "Puzzle", "", None, "action"]
    assert ([1, 2, OTHER, MISSING, MISSING, OTHER], [False, False, False, True, True, False]) == encode(cells)


def test_blanks_around_text_ignored():
    """Blanks around a text do not make another category. Blanks within it do."""
    assert [1, 1, OTHER] == encode([" Action", "Action\t", "Act ion"])[0]


@pytest.mark.parametrize("cells", [[2006, 7], [2006.0, 7.5], ["2006", "7"], ["2006.0", "7.0"]])
def test_whole_numbers_are_digits(cells):
    """An integer is its digits, also as the float or the text that pandas writes for a column with gaps."""
    assert [3, OTHER] == encode(cells)[0]


def test_missing_category():
    """A missing cell has the code after the last value, if missing cells are a category of their own."""
    column = Column("genre", "category", values=("Action",), missing="category")
    assert [2, 2, 2, 1] == encode(["", None, "N/A", "Action"], column, ("N/A",))[0]
    assert ["other", "Action", "missing"] == list_codes(column)
    assert ["other", "Action", "missing"] == [format_code(column, code) for code in range(3)]


def test_unseen_rejected():
    """A contract may reject a value that it does not have."""
    column = Column("genre", "category", values=("Action",), unseen="reject")
    assert [1, UNSEEN] == encode(["Action", "Puzzle"], column)[0]


@given(st.lists(st.none() | st.text(max_size=5), max_size=40))
def test_same_codes_for_every_type(cells):
    """Text, large text, views, dictionaries and bytes give the same codes."""
    counts = count_categories(pa.array(cells, pa.string()), ["x"])
    column = Column("any", "category", values=choose_values(counts, 1), missing="category")
    plain = pa.array(cells, pa.string())
    codes = encode_categories(plain, column, ["x"])[0]
    others = [plain.cast(pa.large_string()), plain.cast(pa.string_view()), plain.dictionary_encode()]
    others += [plain.cast(pa.binary()), pa.concat_arrays([plain.slice(0, 0), plain])]
    for array in others:
        np.testing.assert_array_equal(encode_categories(array, column, ["x"])[0], codes)
    assert not len(codes) or codes.min() > OTHER


@given(st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=60), st.integers(1, 5))
def test_learned_values(cells, min_count):
    """The values are the texts with enough rows, the most frequent first, and the order of the rows does not matter."""
    values = choose_values(count_categories(pa.array(cells, pa.string()), ()), min_count)
    counts = Counter(cell for cell in cells if cell)
    assert set(values) == {text for text, count in counts.items() if count >= min_count}
    assert list(values) == sorted(values, key=lambda text: (-counts[text], text))
    assert values == choose_values(count_categories(pa.array(sorted(cells), pa.string()), ()), min_count)


def test_nasty_text():
    """NUL, emoji, marks of direction and bytes that are not UTF-8 are values like any other."""
    texts = ["a\0b", "\N{VIDEO GAME}", "\u200fabc", "x" * 100_000]
    column = Column("any", "category", values=tuple(texts))
    assert [1, 2, 3, 4] == encode(texts, column)[0]
    assert [OTHER] == encode([b"\xff\xfe"], column)[0]


@pytest.mark.parametrize("arrow_type", [pa.string(), pa.large_string(), pa.string_view(), pa.binary_view()])
def test_dictionary_of_whole_file(arrow_type):
    """Of a dictionary with more values than rows, only the values of the rows become Python texts."""
    values = pa.array([f"genre {number}".encode() for number in range(5_000)], pa.binary()).cast(arrow_type)
    column = pa.DictionaryArray.from_arrays(pa.array([4_000, None, 7, 4_000], pa.uint32()), values)
    texts, indices = list_distinct_texts(column)
    assert len(texts) <= 4
    assert ["genre 4000", "", "genre 7", "genre 4000"] == [texts[index] for index in indices]
