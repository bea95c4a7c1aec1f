"""The registry: every version that was trained, and an append-only log that says which version is live.

It rests on a store with one primitive, create if absent. The log is the only source of truth. The registry knows files,
digests and events, but neither games nor networks.
"""
