"""Ray Data ``map_batches`` over the exported graph, with Arrow batches.

The documentation advises a class for a model that is slow to load, which then runs in actors. This graph loads in
milliseconds, and a function is faster: Ray Data runs it in the tasks that read and write the files.
"""

LABEL = "Ray Data map_batches"
KINDS = ("folder",)
FOLDER = True
ORDERED = False
ENVIRONMENT = "engines"


def main(source: str, output: str, assets: str) -> None:
    import os

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import pyarrow as pa
    import ray

    from benchmarks.arrow_graph import BATCH_ROWS, predict

    def score(table):
        columns = table.combine_chunks().columns
        return pa.table({"predicted_earnings": predict(f"{assets}/bundle/scorer.onnx", columns)})

    ray.init(object_store_memory=1 << 28, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    titles = ray.data.read_parquet(source)
    titles.map_batches(score, batch_size=BATCH_ROWS, batch_format="pyarrow").write_parquet(output)
    ray.shutdown()
