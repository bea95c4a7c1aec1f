"""Statistics of arrays: error metrics, confidence intervals, the bootstrap and the population stability index."""
