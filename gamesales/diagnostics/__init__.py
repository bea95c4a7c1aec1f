"""Diagnostics of a trained model: where its errors are, what they depend on, and what the report must warn of."""
