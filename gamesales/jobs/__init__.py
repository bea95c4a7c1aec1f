"""The jobs: each a story on one page.

They introduce the registry, the model, scoring and the report to one another, which know nothing of each other.

    preprocess.py   scale a training and a test file, as the course does
    training/       past titles become a registered version, and are examined on the way; k-fold alone
    search/         which network, and how small
    evaluate.py     how far off a version is on titles whose earnings are known
    promote.py      a version becomes champion, or the one before it does again
    hearing.py      what the gate is told of a candidate; holdout.py, the titles on which it is compared
    score_job.py    the job file of a scoring run; score_file.py reads it
    score.py        titles become dollars, by the file
    predict.py      one title becomes dollars
    backtesting/    past predictions are held to what their titles earned
    export.py       a version in formats that other programs read
    aliases.py      aliases besides the champion, and the end of a version
    listing.py      which versions there are; conditions.py, what is asked of their figures
    showing.py      all about one version, now or then
    history.py      who did what, when, why and on what evidence
    comparison.py   two versions side by side; measurements.py, what they scored on the same files
    retention.py    what nobody needs any more is forgotten
    loading.py      a registered version becomes one that can score
    titles.py       titles whose earnings are known
    simulate.py     titles of a made-up store, in a file
"""
