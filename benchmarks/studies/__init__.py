"""Studies behind numbers of the documentation. Each prints the lines of its page.

python -m benchmarks.studies accuracy   the table of docs/explanation/accuracy.md, in a quarter of an hour
python -m benchmarks.studies commits    the table of docs/decisions/2026-11-30-delta-tables.md, in two minutes
python -m benchmarks.studies drift      the table of docs/explanation/drift.md, in a minute
python -m benchmarks.studies gate       the table of docs/explanation/gate.md, in ten seconds
python -m benchmarks.studies intervals  the tables of docs/explanation/intervals.md, in some minutes
python -m benchmarks.studies kinds      the table of docs/decisions/2026-11-30-encode-columns.md, in five minutes
python -m benchmarks.studies references the table of docs/decisions/2026-11-30-explanations.md, in two minutes
python -m benchmarks.studies site       the table of docs/guides/site.md, in some minutes
"""

from collections.abc import Sequence


def format_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  ", "| ")
