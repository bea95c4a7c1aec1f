"""Print what a study finds; see ``benchmarks/studies/__init__.py``."""

from __future__ import annotations

import argparse
import importlib

from benchmarks import studies

NAMES = ("accuracy", "drift", "gate", "graphs", "intervals")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies", description="Print what a study finds.")
    parser.add_argument("study", choices=NAMES)
    study = importlib.import_module(f"{studies.__name__}.{parser.parse_args().study}")
    for line in study.lines():
        print(line, flush=True)
