"""The jobs: each a story on one page.

They introduce the registry, the model, scoring and the report to one another, which know nothing of each other.

    preprocess.py   scale a training and a test file, as the course does
    train_job.py    the job file of a training
    train.py        past titles become a registered version
    export.py       a version in formats that other programs read
    checkpoint.py   where a training that was killed goes on
    promote.py      a version becomes champion, or the one before it does again
    score_job.py    the job file of a scoring run
    score.py        titles become dollars, by the file
    predict.py      one title becomes dollars
    listing.py      what the registry holds and what happened in it
    loading.py      a registered version becomes one that can score
    titles.py       past titles, read strictly
    provenance.py   what a version was made with
    simulate.py     titles of a made-up store, in a file
"""
