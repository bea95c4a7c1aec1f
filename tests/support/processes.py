"""Fresh processes, and the modules that they load."""

import json
import subprocess
import sys

LIST = """
import json, sys
{code}
sys.stderr.write(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def loaded_by(folder, code):
    """The top-level modules that a fresh process holds at its end."""
    command = [sys.executable, "-c", LIST.format(code=code)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    return set(json.loads(ran.stderr))
