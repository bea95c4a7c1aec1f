"""The model: from a table of past titles to a network, its figures, and one portable scoring graph.

    spec.py         the network and its training as data, validated
    scaling.py      MinMaxScaler(0, 1), fitted on the training titles only
    network.py      the data becomes a Keras Sequential
    training.py     fit, reproducibly
    tensorboard.py  training as TensorBoard shows it
    evaluation.py   metrics in scaled units and in dollars, and the baselines
    tally.py        errors of many predictions, added up; accuracy.py, the figures that come of it
    compile.py      Keras to ONNX: scaling, network and unscaling in one graph
    export.py       Keras with scaling and unscaling around it, for other programs
    parity.py       does the graph give what Keras gives?

Everything that is heavy (TensorFlow, scikit-learn, pandas) is imported inside the functions that need it.
"""
