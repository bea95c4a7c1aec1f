"""How fast, how big, how good: gamesales beside what a user would otherwise pick, on the user's own machine.

    python -m benchmarks quick                      10 minutes or so
    python -m benchmarks full                       every contender on every file, more rounds: one to two hours
    python -m benchmarks quick --suite startup,growth
    python -m benchmarks compare A.json B.json      whether two results agree on every ratio
    python -m benchmarks.studies drift              what the documentation tells once; see studies/__init__.py

    contenders/   what is compared in scoring: one small file each, run as a process of its own
    trainers/     the same for training
    registries/   the same for many writers of one registry: race.py has them race, lookups.py has one look things up
    suites/       what is measured and how it is shown: one file for each section of docs/benchmarks.md
    studies/      figures of the documentation that no nightly run need repeat
    assets.py     the titles, the version and the bundle that all contenders share
    measure.py    one command: wall time, CPU seconds and peak memory of the whole process tree
    rounds.py     every contender once a round, in another order each round; what takes long is in fewer rounds
    figures.py    medians with their spread, rates, ratios within a round, fitted exponents
    compare.py    two results beside each other: do the intervals of each ratio overlap
    page.py       the results as results/index.html and as docs/benchmarks.md

A new contender is one file in contenders/, and a new registry one in registries/: their __init__.py says what it holds.
"""
