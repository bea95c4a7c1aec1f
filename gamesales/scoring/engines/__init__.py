"""Ways to get the shards of a run done: each is handed the same pure function and changes no byte of the result."""
