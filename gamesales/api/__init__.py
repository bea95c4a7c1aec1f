"""The Python API: everything that the command line does, from functions and two classes.

``registry`` has the commands on versions, ``read_only`` those that change nothing, and ``predictor`` predicts with a
version. The functions are in ``training``, ``scoring`` and ``results``. Each calls a job. ``gamesales`` imports the
public names when they are first used.
"""
