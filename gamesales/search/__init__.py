"""Search for a small network that is as accurate as the best."""
