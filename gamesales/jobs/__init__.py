"""The jobs: each a story on one page.

They introduce the registry, the model, scoring and the report to one another, which know nothing of each other.

    preprocess.py   scale a training and a test file, as the course does
    train_job.py    the job file of a training
    train.py        past titles become a registered version
    evaluate.py     how far off a version is on titles whose earnings are known
    promote.py      a version becomes champion, or the one before it does again
    hearing.py      what the gate is told of a candidate
    holdout.py      the titles on which it is compared with the champion
    score_job.py    the job file of a scoring run
    score.py        titles become dollars, by the file
    predict.py      one title becomes dollars
    aliases.py      aliases besides the champion, and the end of a version
    listing.py      which versions there are, filtered and sorted
    conditions.py   what is asked of a version's figures
    showing.py      all about one version, now or then
    history.py      who did what, when, why and on what evidence
    comparison.py   two versions side by side
    measurements.py what they scored on the same files
    loading.py      a registered version becomes one that can score
    titles.py       titles whose earnings are known
    provenance.py   what a version was made with
    simulate.py     titles of a made-up store, in a file
"""
