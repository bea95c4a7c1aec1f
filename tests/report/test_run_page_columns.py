"""The drift of categories, dates and missing cells on the page of a run."""

from gamesales.report.drift_sections import show_drift
from support.pages import read_text

COLUMN = {
    "psi": 1.0,
    "limit": 0.3,
    "share_outside": 0.0,
    "drifted": True,
    "training_mean": None,
    "mean": None,
    "unit": "",
    "labels": [],
}
COLUMNS = [
    {
        **COLUMN,
        "column": "genre",
        "kind": "category",
        "change": "rare or unseen genre: 0.4% of titles in training, 12% tonight",
        "edges": [0.5, 1.5],
        "labels": ["other", "RPG", "missing"],
        "training_counts": [1, 8, 1],
        "counts": [4, 4, 2],
    },
    {
        **COLUMN,
        "column": "released",
        "kind": "date",
        "change": "average released: 2009-09-12 in training, 2015-01-01 tonight",
        "edges": [14_000.0, 15_000.0],
        "training_counts": [3, 3, 3],
        "counts": [1, 2, 6],
    },
    {
        **COLUMN,
        "column": "score",
        "kind": "number",
        "unit": "points",
        "change": "average score: 5.00 in training, 5.10 tonight",
        "training_share_missing": 0.1,
        "share_missing": 0.5,
        "training_mean": 5.0,
        "mean": 5.1,
        "edges": [4.5],
        "training_counts": [4, 5, 1],
        "counts": [2, 3, 5],
    },
]


def test_bins_of_encoded_columns():
    """Bins have the texts of categories and dates, and missing cells have a bin."""
    page = "".join(show_drift({"drift": {"columns": COLUMNS}}))
    text = read_text(f"<body>{page}")
    for label in ("other RPG missing", "before 2008-05-01 from 2008-05-01 from 2011-01-26", "4.5 or more missing"):
        assert label in text
    assert "rare or unseen genre: 0.4% of titles in training, 12% tonight" in text
    assert (
        "average 5.00 points in training, 5.10 points tonight; missing: 10.0% of titles in training, 50.0% tonight"
        in text
    )
