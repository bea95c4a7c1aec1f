"""Files behind a few verbs, on a local disk or in an object store.

The one primitive is create if absent: of any number of writers of a key, exactly one succeeds, and nothing is ever
overwritten. The registry rests on it, and so do results in a lake.
"""
