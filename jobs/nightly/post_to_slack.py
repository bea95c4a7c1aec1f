"""Send a message about a run to Slack: a hook of the scoring job, for on_success or on_failure.

    on_failure = ["python3", "/srv/gamesales/jobs/nightly/post_to_slack.py", "/etc/gamesales/slack-url"]

The file has the URL of an incoming webhook. The URL is a secret, so only the user of the nightly run may read the file.
"""

import html
import json
import sys
import urllib.request
from pathlib import Path

run = json.load(sys.stdin)
text = f"{run['model']} on {run['run_date']}: {run['message']} (exit code {run['exit_code']})"
hint = run.get("error", {}).get("hint")
message = {"text": html.escape(f"{text}\n{hint}" if hint else text, quote=False)}
request = urllib.request.Request(
    Path(sys.argv[1]).read_text(encoding="utf-8").strip(),
    json.dumps(message).encode(),
    {"Content-Type": "application/json"},
)
urllib.request.urlopen(request, timeout=30).close()
