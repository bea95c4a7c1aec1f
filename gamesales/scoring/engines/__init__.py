"""Engines run the shards of a run. Each gets the same pure function, so no engine changes a byte of the result."""
