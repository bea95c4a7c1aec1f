"""Hypothesis strategies that several test files share."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
from hypothesis import strategies as st

from support.versions import FEATURES

FLAGS = FEATURES[1:-1]


def titles(min_size=0, max_size=30):
    """Titles that the contract allows, as rows of floats that float32 holds exactly."""
    rating = st.integers(0, 10).map(lambda half: half / 2)
    price = st.integers(1, 40_000).map(lambda quarter: quarter / 4)
    title = st.tuples(rating, *[st.sampled_from([0.0, 1.0])] * len(FLAGS), price)
    return st.lists(title, min_size=min_size, max_size=max_size)


def as_text(value, *, flag=False):
    """Ways to write one number as a cell of text."""
    plain = [repr(value), f"{value:.2f}", f" {value!r} ", f"{value:e}", f"+{value!r}"]
    if value == int(value):
        plain.append(str(int(value)))
    if value == 0:
        plain += ["-0", "0.0"]
    if flag:
        plain += ["true", "TRUE", "True"] if value else ["false", "False"]
    return st.sampled_from(plain)


# Text with all that is special in CSV. No NUL, which no CSV holds, and no half of a surrogate pair.
cells = st.text(
    st.one_of(st.sampled_from("\",\n\r '\\;\t"), st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    max_size=12,
)


@st.composite
def faulty_cells(draw, name):
    """A cell that the contract does not allow in a column, and why."""
    faults = {
        "": "missing",
        "  ": "missing",
        "x": "not a number",
        "nan": "not a number",
        "4,5": 'not a number; a decimal comma? [csv] decimal = ","',
        "1_000": "not a number",
        "$5": "not a number",
        "-inf": "not a finite number",
        "1e39": "not a finite number",
        "1e999": "not a finite number",
    }
    outside = {"critic_rating": "5.5", "unit_price": "0"}.get(name, "2")
    allowed = {"critic_rating": "0 to 5", "unit_price": "above 0"}.get(name, "0 or 1")
    for cell in (outside, "-1", "-0.001"):
        faults[cell] = f"out of range, allowed: {allowed}"
    return draw(st.sampled_from(sorted(faults.items())))


_SIGNED = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
_UNSIGNED = (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
_DECIMALS = (pa.decimal32(9, 2), pa.decimal64(18, 3), pa.decimal128(38, 18), pa.decimal256(60, 2))
_UNITS = ("s", "ms", "us", "ns")
_ZONES = (None, "UTC", "Europe/Lisbon", "+05:30")
_INSTANTS = [pa.timestamp(unit, zone) for unit in _UNITS for zone in _ZONES] + [pa.duration(unit) for unit in _UNITS]
# Numbers of days, seconds or smaller units, all of which are times that Arrow can hold in each of its types.
_TIMES = st.integers(0, 86_399)
_LEAF_VALUES = {
    **{kind: st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1) for kind in _SIGNED},
    **{kind: st.integers(0, 2**kind.bit_width - 1) for kind in _UNSIGNED},
    **{kind: st.floats(allow_nan=False, width=kind.bit_width) for kind in (pa.float16(), pa.float32(), pa.float64())},
    **{kind: st.integers(-999, 999).map(Decimal) for kind in _DECIMALS},
    **dict.fromkeys((pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")), _TIMES),
    **{kind: st.integers(-(2**62), 2**62) for kind in _INSTANTS},
    **dict.fromkeys((pa.string(), pa.large_string(), pa.string_view()), cells),
    **dict.fromkeys((pa.binary(), pa.large_binary(), pa.binary_view()), st.binary(max_size=20)),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.date32(): st.integers(-(2**31), 2**31 - 1),
    pa.date64(): st.integers(-(2**31), 2**31 - 1).map(lambda days: days * 86_400_000),
    pa.bool_(): st.booleans(),
    pa.null(): st.none(),
    pa.month_day_nano_interval(): st.tuples(_TIMES, _TIMES, _TIMES),
}


def _nest(children):
    """Types that hold other types, each with a strategy of its values."""

    def make_nested(inner):
        kind, values = inner
        lists = st.lists(values, max_size=3)
        pairs = st.lists(st.tuples(st.integers(0, 9), values), max_size=3, unique_by=lambda pair: pair[0])
        return st.sampled_from(
            [
                (pa.list_(kind), lists),
                (pa.large_list(kind), lists),
                (pa.list_view(kind), lists),
                (pa.list_(kind, 2), st.lists(values, min_size=2, max_size=2)),
                (pa.struct([("a", kind), ("b", pa.int8())]), st.fixed_dictionaries({"a": values, "b": st.just(1)})),
                (pa.map_(pa.int8(), kind), pairs),
            ]
        )

    return children.flatmap(make_nested).map(lambda nested: (nested[0], st.none() | nested[1]))


_leaves = st.sampled_from([(kind, st.none() | values) for kind, values in _LEAF_VALUES.items()])
_kinds = st.recursive(_leaves, _nest, max_leaves=3)


@st.composite
def arrow_columns(draw, rows):
    """Arrow columns of any type, with nulls. There is no NaN, because it equals nothing."""
    kind, values = draw(_kinds)
    column = pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind)
    encoding = draw(st.sampled_from(["plain", "dictionary", "run ends", "extension"]))
    try:
        if encoding == "dictionary" and not pa.types.is_null(kind):
            return column.dictionary_encode()
        if encoding == "run ends":
            return pa.RunEndEncodedArray.from_arrays([rows], column.slice(0, 1))
        if encoding == "extension":
            kind = pa.json_() if kind == pa.string() else pa.opaque(kind, "a type", "a vendor")
            return pa.ExtensionArray.from_storage(kind, column)
    except (pa.ArrowException, TypeError):
        pass  # Arrow has no such column
    return column
