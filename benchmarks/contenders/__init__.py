"""Ways to score a file of titles. Each is a module whose ``main(source, output, assets)`` runs in a new process.

``source`` holds the nine features as ``.csv`` or ``.parquet``. ``output``, a file of the same kind, gets
``predicted_earnings`` in the order of the input. ``assets`` is the folder of benchmarks/assets.py, with
``bundle/model.keras``, ``bundle/scaler.joblib``, ``bundle/scorer.onnx`` and ``registry/``.

A module holds, and imports nothing heavy before ``main``:

    its docstring      the method, and what the documentation of the library advises; tables show the first paragraph
    LABEL              its name in tables
    KINDS              the kinds of file that it is timed on; parquet and csv by default, folder is a folder of Parquet
    FOLDER             True if ``output`` is a folder of dated Parquet partitions; by default a file
    ORDERED            False if the engine does not keep the order of rows; True by default
    MAX_ROWS           {"quick": n, "full": n}: the size of its largest file; no limit by default
    ENVIRONMENT        the file of environments/ that it needs, without the suffix; none by default
    prepare(assets)    what a user does once, such as a conversion of the weights; not timed
    command(source, output, assets)    instead of ``main``: the arguments of the interpreter
"""
