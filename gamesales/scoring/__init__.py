"""Scoring: from files of titles and one verified version to dollars, with every row accounted for.

    screen.py     rows against the contract: accepted as numbers, or rejected with a reason
    scorer.py     the scoring graph of one version, and its self-test
    titles.py     a batch of titles predicted; distinct.py, each distinct row once
    inputs.py     which files
    plan.py       which columns, which shards, which run; shards.py, where they are cut
    shard.py      one shard, from reading to writing; ledger.py, which are done
    parts.py      writing accepted and rejected rows
    doubled.py    counting titles that come more than once
    drift.py      how far a run's titles lie from those of training; shadow.py, a second version's answers
    engines/      who does the shards
    assembly.py   from the shards' pieces to a folder or a file
    commit.py     making a result appear whole or not at all
    reading.py    reading a result that may be replaced meanwhile
    dated.py      which results there are from the past
    run.py        the run itself, from plan to commit; outcome.py, what it came to

Neither TensorFlow, Keras, pandas nor scikit-learn is loaded here, and nothing is unpickled.
"""
