"""The whole command on a million titles, for one epoch of the default job: does it fit into memory?"""

from __future__ import annotations

import sys

from benchmarks.trainers import ours_course

LABEL = "gamesales train, a million titles"
ROWS = 1_000_000


def main(train: str, test: str, answer: str, seed: str) -> None:
    """Train once through, into a registry that is thrown away."""
    ours_course.main(train, test, answer, seed, "--reason", "to be measured", epochs="1", decay_epochs="1")


if __name__ == "__main__":
    main(*sys.argv[1:])
