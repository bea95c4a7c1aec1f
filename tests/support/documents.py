"""Results as the documents that ``--json`` prints."""

import json
from dataclasses import asdict

from gamesales.old_keys import add_old_keys


def make_document(result):
    """The document of a result, as a program reads it."""
    return json.loads(json.dumps(add_old_keys(asdict(result))))
