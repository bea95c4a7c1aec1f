"""Spark ``mapInArrow`` over the exported graph, with a task for each core."""

LABEL = "Spark mapInArrow"
KINDS = ("folder",)
FOLDER = True
ORDERED = False
ENVIRONMENT = "engines"


def main(source: str, output: str, assets: str) -> None:
    import os
    import sys

    import pyarrow as pa

    from benchmarks.arrow_graph import BATCH_ROWS, predict

    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    from pyspark.sql import SparkSession

    def score(batches):
        for batch in batches:
            yield pa.record_batch({"predicted_earnings": predict(f"{assets}/bundle/scorer.onnx", batch.columns)})

    settings = {"spark.ui.enabled": "false", "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS)}
    spark = SparkSession.builder.master("local[*]").config(map=settings).getOrCreate()
    spark.read.parquet(source).mapInArrow(score, "predicted_earnings double").write.parquet(output)
    spark.stop()
