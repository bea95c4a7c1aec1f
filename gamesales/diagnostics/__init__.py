"""Examine a trained version: where its errors lie, what it rests on, and what its report should warn of."""
