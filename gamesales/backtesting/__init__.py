"""Compare published predictions with actual earnings, version by version."""
