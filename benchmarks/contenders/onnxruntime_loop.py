"""A plain loop: batches from Arrow, ONNX Runtime with its own threads, batches to Arrow.

The documentation of ONNX Runtime advises the default size of its thread pool, one thread per core. Of batches from
4,096 to 65,536 rows, 16,384 rows were fastest. The loop screens, flags and counts nothing.
"""

LABEL = "Arrow and ONNX Runtime, a plain loop"
BATCH_ROWS = 16_384


def main(source: str, output: str, assets: str) -> None:
    import numpy as np
    import onnxruntime
    import pyarrow as pa
    from pyarrow import csv, parquet

    session = onnxruntime.InferenceSession(f"{assets}/bundle/scorer.onnx", providers=["CPUExecutionProvider"])
    schema = pa.schema([("predicted_earnings", pa.float64())])
    # The columns of the file are in the order of the graph. A block of CSV has about as many rows as a batch.
    if source.endswith(".csv"):
        batches = csv.open_csv(source, csv.ReadOptions(block_size=1 << 19))
        writer = csv.CSVWriter(output, schema)
    else:
        batches = parquet.ParquetFile(source).iter_batches(BATCH_ROWS)
        writer = parquet.ParquetWriter(output, schema)
    with writer:
        for batch in batches:
            titles = np.stack([column.to_numpy().astype(np.float32) for column in batch.columns], axis=1)
            earnings = session.run(None, {"titles": titles})[0]
            writer.write_batch(pa.record_batch([pa.array(earnings)], schema=schema))
