"""Hypothesis strategies that several test files share."""

from __future__ import annotations

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
        "4,5": "not a number",
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
