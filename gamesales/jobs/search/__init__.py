"""The job that searches for a small network that is as accurate as the best.

tune_job.py    the job file
tune.py        search, look at the best again, train one of them and register it
searching.py   the trials, those of earlier sessions and those to come
crossing.py    one trial: a candidate on each fold, in several processes
study.py       the folder that keeps them
"""
