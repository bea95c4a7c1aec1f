"""Find the titles of a run with the highest predictions, with their features, which a result does not have."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from gamesales.data.arrow import convert_to_json
from gamesales.scoring.ledger import ShardResult, TopTitle
from gamesales.scoring.plan import Plan
from gamesales.scoring.predict import BatchPrediction
from gamesales.scoring.run_content import LABEL_COLUMNS, find_largest

# Longer labels are cut: a cell may have megabytes.
_MOST_CHARACTERS = 200


class TopTitleList:
    """Collects the titles of a shard with the highest predictions, and of equal predictions the first.

    Args:
        plan: the plan of the run, which says how many titles it explains.
    """

    def __init__(self, plan: Plan) -> None:
        self.titles: list[TopTitle] = []
        self._count = plan.explain
        copied = plan.passthrough.names
        names = [name for name in plan.identity if name in copied]
        self._labels = {name: copied.index(name) for name in list(dict.fromkeys([*names, *copied]))[:LABEL_COLUMNS]}
        self._rows = 0

    def add(self, prediction: BatchPrediction, copied: Sequence[pa.Array]) -> None:
        """Add the scored rows of a batch, with their copied columns."""
        predictions = prediction.predictions
        for index in find_largest(predictions, self._count):
            # The text of a float32 is its shortest number: 59.99, not 59.9900016784668.
            values = [float(str(column[index])) for column in prediction.screened.columns]
            labels = {name: _write_cell(copied[place].slice(index, 1)) for name, place in self._labels.items()}
            self.titles.append(TopTitle(self._rows + index + 1, float(predictions[index]), values, labels))
        self.titles = _choose(self.titles, self._count)
        self._rows += len(predictions)


def merge_top_titles(results: Sequence[ShardResult], count: int) -> list[TopTitle]:
    """Merge the titles of all shards, in order. Their rows become those of the result."""
    titles, start = list[TopTitle](), 0
    for result in results:
        titles += [
            TopTitle(start + title.row, title.predicted, title.values, title.labels) for title in result.top_titles
        ]
        start += result.rows_scored
    return _choose(titles, count)


def _choose(titles: Sequence[TopTitle], count: int) -> list[TopTitle]:
    return sorted(titles, key=lambda title: (-title.predicted, title.row))[:count]


def _write_cell(cell: pa.Array) -> str:
    """Write a cell as text; empty for a null."""
    (value,) = convert_to_json(cell)
    text = "" if value is None else str(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
