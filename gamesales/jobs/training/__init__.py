"""The job that trains a version, with all that it takes to know how good it is.

train_job.py       the job file; data_files.py, the titles that it names
train.py           past titles become a registered version
exportable.py      can the network be trained and exported?
checkpoint.py      where a training that was killed goes on
learning.py        further networks, trained on the side
calibrate.py       prediction intervals
examine.py         how good is it, how surely, for which titles, and why: what the manifest and the page tell
kfold.py           k-fold; learning_curve.py, fewer titles and other seeds
train_report.py    the page
crossvalidate.py   k-fold alone, over several seeds; nothing is registered
provenance.py      what a version was made with
"""
