"""The command line: parse, call one function of a job, show its result. The only code that prints or exits.

main.py        the entry point: failures become one line, a hint and an exit code
options.py     options that several commands share
output.py      results as text or as one JSON document
progress.py    what a person sees while something takes long
training.py    train, preprocess, simulate
group.py       commands under a name of their own
registry.py    versions, show, verify
history.py     history
comparing.py   compare
promotion.py   promote, rollback
aliases.py     alias set, alias delete, alias list; retire
retention.py   gc
scoring.py     score, predict
night.py       what score does: a run for each date
runs.py        what a scoring run did, in words
"""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line of this process and exit with its code."""
    # Nearly all that loading makes stays; to look it through for garbage, time and again, is a tenth of a start.
    gc.set_threshold(100_000)
    from gamesales.cli.main import run_and_exit

    run_and_exit()
