"""Print the lines of a study; see ``benchmarks/studies/__init__.py``."""

import argparse
import importlib

NAMES = ("accuracy", "commits", "drift", "gate", "intervals", "kinds", "references", "site")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies", description="Print the lines of a study.")
    parser.add_argument("study", choices=NAMES)
    study = importlib.import_module(f"benchmarks.studies.{parser.parse_args().study}")
    for line in study.build_lines():
        print(line, flush=True)
