"""Daft with a batch function over the exported graph."""

LABEL = "Daft"
KINDS = ("folder",)
FOLDER = True
ORDERED = False
ENVIRONMENT = "engines"


def main(source: str, output: str, assets: str) -> None:
    import os

    os.environ |= {"DAFT_ANALYTICS_ENABLED": "0", "DO_NOT_TRACK": "1"}
    import daft

    from benchmarks.arrow_graph import BATCH_ROWS, predict

    @daft.func.batch(return_dtype=daft.DataType.float64(), batch_size=BATCH_ROWS)
    def score(*features):
        return predict(f"{assets}/bundle/scorer.onnx", [feature.to_arrow() for feature in features])

    titles = daft.read_parquet(f"{source}/*.parquet")
    columns = [titles[name] for name in titles.column_names]
    titles.select(score(*columns).alias("predicted_earnings")).write_parquet(output)
