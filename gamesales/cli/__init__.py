"""The command line. A command parses its arguments, calls one function of a job and renders the result.

Only this package prints or exits. ``main.py`` is the entry point. ``app.py`` is the command line in Typer, and
``plain.py`` parses plain command lines without it. ``options.py`` and ``values.py`` hold shared options, ``render.py``
formats results, and ``progress.py`` shows progress. The modules in ``commands.py`` hold the commands.
"""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command line of this process and exit with its code."""
    # Nearly all objects of the imports stay alive. Collecting garbage among them takes a tenth of the start-up time.
    gc.set_threshold(100_000)
    from gamesales.cli.main import run_and_exit

    run_and_exit()
