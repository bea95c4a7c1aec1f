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


def _read_with_spark(path):
    from pyspark.sql import SparkSession, functions

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    if path.endswith((".csv", ".csv.gz")):
        frame = session.read.csv(path, header=True, inferSchema=True, multiLine=True, escape='"')
    else:
        frame = session.read.parquet(path)
    names = ("predicted_earnings", "stock", "price")
    row = frame.agg(functions.count("*"), *(functions.sum(name).cast("double") for name in names)).collect()[0]
    return list(row)


if __name__ == "__main__":
    reader, *paths = sys.argv[1:]
    for path in paths:
        sys.stdout.write(json.dumps([float(value) for value in globals()[f"_read_with_{reader}"](path)]) + "\n")
