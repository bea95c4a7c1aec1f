"""Scoring: from files of titles and one verified version to dollars, with every row accounted for.

    screen.py     rows against the contract: accepted as numbers, or rejected with a reason
    scorer.py     the scoring graph of one version, and its self-test
    plan.py       which files, which columns, which run
    parts.py      writing accepted and rejected rows
    doubled.py    counting titles that come more than once
    commit.py     making a result appear whole or not at all
    run.py        the run itself, from plan to commit

Neither TensorFlow, Keras, pandas nor scikit-learn is loaded here, and nothing is unpickled.
"""
