"""Execute docs/notebook.ipynb in a temporary copy of the project, and store its outputs.

    make notebook
    python docs/make_notebook.py OTHER.ipynb    leaves it as it is

A slow test executes it again and compares the outputs.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs/notebook.ipynb"
# The modules that run notebooks, behind those of .venv.
MODULES = ROOT / "tests/.servers/notebook"
START_KERNEL = f"""
import sys
sys.path.append({str(MODULES)!r})
from ipykernel.kernelapp import IPKernelApp
IPKernelApp.launch_instance()
"""
SECONDS = 900


def execute():
    """Execute the notebook, and return it with its outputs and without anything about this machine."""
    sys.path.append(str(MODULES))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("data", "jobs"):
            shutil.copytree(ROOT / part, folder / part)
        (folder / "docs").mkdir()
        os.environ |= {
            "PYTHONPATH": str(ROOT),
            "LOGNAME": "analyst",  # the name in the log of the registry
            "IPYTHONDIR": f"{folder}/ipython",
            "JUPYTER_RUNTIME_DIR": f"{folder}/jupyter",
        }
        os.environ.pop("GAMESALES_REGISTRY", None)
        return _clean(_run(folder / "docs"))


def _run(folder):
    import nbformat
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec
    from nbclient import NotebookClient

    manager = AsyncKernelManager(transport="ipc", ip=f"{folder.parent}/kernel")
    manager._kernel_spec = KernelSpec(argv=[sys.executable, "-c", START_KERNEL, "-f", "{connection_file}"])  # noqa: SLF001
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, km=manager, timeout=SECONDS, resources=resources, coalesce_streams=True)
    return client.execute()


def _clean(notebook):
    for cell in notebook.cells:
        cell.metadata.clear()
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return notebook


if __name__ == "__main__":
    executed = execute()
    import nbformat

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOK
    nbformat.write(executed, target)
    print(f"wrote {target}")
