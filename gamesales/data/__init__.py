"""What a table of titles is, on disk and in memory.

contract.py        the columns, their kinds and allowed values
tables.py          opening a table: csv_file.py or parquet_file.py
batches.py         rows on their way through
csv_scan.py        counting a CSV's records without parsing it
columns.py         Arrow columns as NumPy arrays and back
atomic.py          writing a file whole or not at all
simulate.py        titles of a made-up store
"""
