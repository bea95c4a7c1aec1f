"""Objects of the test servers: put files there, as another program does."""

from __future__ import annotations

import os
from functools import cache

import obstore

from gamesales.storage.bucket import split_object_url
from gamesales.storage.cloud import make_client


def put(url, data):
    """Write an object, whether it exists or not."""
    client, key = _open(url)
    obstore.put(client, key, data)


def delete(url):
    """Delete an object."""
    client, key = _open(url)
    obstore.delete(client, key)


def upload(folder, url):
    """Write every file below a folder to the same path below a URL."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            put(f"{url}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def _open(url):
    bucket, key = split_object_url(url)
    settings = [os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AZURE_STORAGE_ENDPOINT")]
    return _share_client(bucket, *settings), key


@cache
def _share_client(bucket, *settings):
    scheme, _, name = bucket.partition("://")
    return make_client(bucket, scheme, name)
