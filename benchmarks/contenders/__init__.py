"""Ways to score a file of titles. Each is a module that runs in a fresh process.

    python -m benchmarks.contenders.NAME INPUT OUTPUT ASSETS

INPUT holds the nine features, ``.csv`` or ``.parquet``; OUTPUT, of the same kind, gets ``predicted_earnings`` in
dollars, in the input's order. ASSETS is the folder that ``benchmarks/assets.py`` made: ``bundle/model.keras``,
``bundle/scaler.joblib``, ``bundle/scorer.onnx``, ``registry/``.

A module holds, and imports nothing heavy before ``main``:

    its docstring      who would do it so, and what its documentation advises
    LABEL              its name in tables
    KINDS              the kinds of file that it is timed on; both if absent
    FOLDER             True if OUTPUT is to be a folder, which gets dated partitions of Parquet; a file if absent
    MOST_ROWS          {"quick": n, "full": n}: the largest file that it is given; no limit if absent
    ENVIRONMENT        the file of environments/ that it needs, without its suffix; none if absent
    main(source, output, assets)
    prepare(assets)    what a user would have done long before, such as converting the weights; not timed
    command(source, output, assets)    if it is no script of this folder: the whole command
"""
