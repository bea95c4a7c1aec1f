"""The jobs, one module for a command or a few related commands. Each module reads as a story on one page.

A job combines the registry, training, scoring and the report, which do not know each other. The command line and the
Python API call jobs and render their results. A job returns a frozen dataclass, which `--json` prints as it is.
"""
