"""Compare gamesales with its alternatives in speed, memory and accuracy, on the machine of the user.

    python -m benchmarks quick                      about 10 minutes
    python -m benchmarks full                       every contender on every file: one to two hours
    python -m benchmarks quick --suite startup,growth
    python -m benchmarks full --suite engines       Spark, Ray Data and Daft, in an environment of their own
    python -m benchmarks docs                       write docs/benchmarks.md from the results
    python -m benchmarks.studies drift              print a table of the documentation; see studies/__init__.py

The packages ``contenders``, ``trainers`` and ``registries`` hold the alternatives. To add an alternative, add one file.
A module in ``suites`` measures and describes one section of docs/benchmarks.md.
"""
