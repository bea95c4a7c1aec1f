"""What the documentation tells once and a nightly benchmark need not repeat: each study prints the lines of its page.

python -m benchmarks.studies accuracy   the table of docs/accuracy.md, in a quarter of an hour
python -m benchmarks.studies drift      the table of docs/drift.md, in a minute or so
python -m benchmarks.studies graphs     the figures of docs/decisions.md, in half a minute
python -m benchmarks.studies intervals  the table of docs/intervals.md, in some minutes
python -m benchmarks.studies gate       the table of docs/registry.md, in some ten seconds
"""
