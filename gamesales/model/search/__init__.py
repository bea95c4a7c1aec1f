"""The search for a network: what there is to choose from, what to try next, and which trial is worth what."""
