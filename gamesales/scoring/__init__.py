"""Score files of titles with one verified version, and account for every row.

A row passes through inputs, plan, run, shard, predict, scorer, parts and output. Commit publishes the result as a whole
or not at all. Nothing here imports TensorFlow, Keras, pandas or scikit-learn, and no file is unpickled.
"""
