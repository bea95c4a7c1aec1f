"""Statistics of errors: means, intervals, bootstrap and drift, with no knowledge of files or versions."""
