"""Read results with another program, in its own environment, and print what it finds as JSON lines.

    python read_result.py READER PATH...

This file runs without gamesales, so it imports only the reader.
"""

import json
import os
import sys
from pathlib import Path


def _read_with_duckdb(path):
    import duckdb

    where = f"{path}/**/*.parquet" if Path(path).is_dir() else path
    query = f"select count(*), sum(predicted_earnings), sum(stock), cast(sum(price) as double) from '{where}'"
    return duckdb.sql(query).fetchall()[0]


def _read_with_polars(path):
    import polars as pl

    scan = pl.scan_csv if path.endswith((".csv", ".csv.gz")) else pl.scan_parquet
    frame = scan(f"{path}/**/*.parquet" if Path(path).is_dir() else path).collect()
    return len(frame), frame["predicted_earnings"].sum(), frame["stock"].sum(), float(frame["price"].sum())


def _sum_in_pandas(frame):
    return len(frame), *(float(frame[name].sum()) for name in ("predicted_earnings", "stock", "price"))


def _read_with_pandas(path):
    import pandas as pd

    return _sum_in_pandas((pd.read_csv if path.endswith((".csv", ".csv.gz")) else pd.read_parquet)(path))


def _read_with_fastparquet(path):
    import fastparquet

    return _sum_in_pandas(fastparquet.ParquetFile(path).to_pandas())


def _start_spark():
    from pyspark.sql import SparkSession

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    return SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()


def _read_with_spark(path):
    session = _start_spark()
    if path.endswith((".csv", ".csv.gz")):
        frame = session.read.csv(path, header=True, inferSchema=True, multiLine=True, escape='"')
    else:
        frame = session.read.parquet(path)
    return _sum_in_spark(frame)


def _read_with_spark_and_log(path):
    """Find the current files of a Delta table in its log, by the protocol of Delta Lake, and read them.

    The last action on a file counts. The checkpoint has the files of its version, and later commits follow.
    """
    from pyspark.sql import functions

    session, log = _start_spark(), Path(path) / "_delta_log"
    number = json.loads((log / "_last_checkpoint").read_text())["version"]
    checkpoint = session.read.parquet(f"{log}/{number:020d}.checkpoint.parquet")
    later = [str(file) for file in sorted(log.glob("*.json")) if int(file.stem) > number]
    version = functions.regexp_extract(functions.input_file_name(), r"(\d{20})\.", 1).cast("long")
    actions = [
        frame.select(version.alias("version"), f"{name}.path", functions.lit(name == "add").alias("is_current"))
        for frame in (checkpoint, session.read.json(later))
        for name in ("add", "remove")
        if name in frame.columns
    ]
    while len(actions) > 1:
        actions.append(actions.pop(0).union(actions.pop(0)))
    last = functions.max_by("is_current", "version").alias("is_current")
    files = actions[0].where("path is not null").groupBy("path").agg(last).where("is_current").collect()
    return _sum_in_spark(session.read.option("basePath", path).parquet(*(f"{path}/{file.path}" for file in files)))


def _sum_in_spark(frame):
    from pyspark.sql import functions

    names = ("predicted_earnings", "stock", "price")
    row = frame.agg(functions.count("*"), *(functions.sum(name).cast("double") for name in names)).collect()[0]
    return list(row)


if __name__ == "__main__":
    reader, *paths = sys.argv[1:]
    for path in paths:
        sys.stdout.write(json.dumps([float(value) for value in globals()[f"_read_with_{reader}"](path)]) + "\n")
