"""The model: from a table of past titles to a network, its figures, and one portable scoring graph.

    spec.py          the network and its training as data, validated
    scaling.py       MinMaxScaler(0, 1), fitted on the training titles only
    network.py       the data becomes a Keras Sequential; named.py, what Keras is asked for by name; backend.py, Keras
    optimization.py  its loss and its optimizer; rehearsal.py, one step of training before the first
    training.py      fit, reproducibly; tensorboard.py, as TensorBoard shows it
    folds.py         titles cut so that each is predicted by what never saw it
    calibration.py   how wide prediction intervals must be
    evaluation.py    metrics in scaled units and in dollars, and the baselines
    tally.py         errors of many predictions, added up; accuracy.py, the figures that come of it
    diagnosis/       what is behind the errors: luck, noise, kinds of titles, columns, faulty data
    search/          which network to try next, and which is small enough
    compile.py       Keras to ONNX: scaling, network and unscaling in one graph; convert.py, its operators
    parity.py        does the graph give what Keras gives?
    export.py        Keras with scaling and unscaling around it, for other programs

Everything that is heavy (TensorFlow, scikit-learn, pandas, Optuna) is imported inside the functions that need it.
"""
