"""The job that holds past predictions to what titles earned.

backtest.py   the job
actuals.py    what titles earned; joining.py, predictions find it
judging.py    a version's figures; verdict.py, in words
evidence.py   what the registry knows and is told
"""
