"""Small job files of trainings."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from support.versions import DATA

DENSE = {"layer": "Dense", "units": 1}


EMPTY = MappingProxyType({})


# Most tests are not about intervals, for which networks are trained five times more.
NO_INTERVALS = MappingProxyType({"method": "none"})


# Nor about the report, for which they are trained eight times more.
PLAIN_REPORT = MappingProxyType({"folds": 0, "learning_curve": False, "seeds": 0})


# Enough of training for errors that are not the same everywhere.
LEARNS = MappingProxyType({"epochs": 10, "optimizer": {"name": "Adam", "learning_rate": 0.01}})


def as_toml(value):
    """A value of a job file; numbers, texts and lists of them look as in JSON."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {as_toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    text = json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")  # JSON escapes it not, and writes other planes as two escapes


def write_job(path, *, data=EMPTY, network=EMPTY, training=EMPTY, intervals=NO_INTERVALS, report=PLAIN_REPORT, **top):
    """Write a small valid job with some keys changed; None leaves a key or a table out."""
    tables = {
        "data": {
            "train": DATA / "sales_data_training.csv",
            "test": DATA / "sales_data_test.csv",
            "contract": DATA / "contract.toml",
        },
        "network": {"layers": [{"layer": "Dense", "units": 8, "activation": "relu"}, DENSE]},
        # A batch of another size would be compiled separately; this size divides the titles and folds of most tests.
        "training": {"epochs": 2, "batch_size": 100, "seed": 3},
        "intervals": {},
        "report": {},
    }
    lines = [f"{key} = {as_toml(value)}" for key, value in top.items()]
    for (name, table), changes in zip(tables.items(), (data, network, training, intervals, report), strict=True):
        if changes is not None:
            kept = {key: value for key, value in {**table, **changes}.items() if value is not None}
            lines += [f"[{name}]", *(f"{key} = {as_toml(value)}" for key, value in kept.items())]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
