"""The whole command on a million titles, for one epoch of the default job: does it fit into memory?"""

from benchmarks.trainers import ours_course

LABEL = "gamesales train, a million titles"
ROWS = 1_000_000


def main(train: str, test: str, seed: str) -> ours_course.Answer:
    return ours_course.main(train, test, seed, "--reason", "to be measured", epochs="1", decay_epochs="1")
