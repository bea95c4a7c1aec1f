"""The registry: every version ever trained, and an append-only log that says which one is live.

    store.py      four verbs over keys: read, create if absent, list, delete; on a local disk
    cloud.py      the same in an object store (cloud_errors.py tells its errors)
    cache.py      copies of a remote store's files on the local disk
    sealing.py    JSON that is checked before it is parsed
    log.py        sealed events, one a file, each naming the digest of the one before it (times.py, refs.py)
    bundle.py     the files of one version and the manifest that lists them
    index.py      where in the log each fact stands; checkpoints.py keeps it
    state.py      what the events add up to: versions, aliases, evaluations
    spans.py      since when and until when an alias named a version
    registry.py   publish, resolve, set an alias, roll back, retire, verify
    retention.py  what may be forgotten
    gate.py       may this version be promoted? (resampling.py: what may be chance)

It knows files, digests and events; it knows neither games nor networks.
"""
