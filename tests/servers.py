"""Object stores on this machine, each a process of its own that speaks real HTTP on a free port of the loopback.

    with s3() as server:                      moto, which keeps buckets in memory
        server.url                            s3://registries/<a new prefix>
        server.environment                    what a client must find in its environment

Run as a script with a fault's name, this module is the S3 server. It stops when its standard input closes, so that
it does not outlive the tests, however they end.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BUCKET = "registries"
AZURITE = Path(__file__).parent / ".npm/node_modules/azurite/dist/src/blob/main.js"
# Azurite's only account; everybody knows its key.
_ACCOUNT = "devstoreaccount1"
_ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Server:
    """A running store: where, and what a client's environment must hold to find it."""

    scheme: str
    environment: dict[str, str]

    def url(self, prefix):
        return f"{self.scheme}://{BUCKET}/{prefix}"


@contextmanager
def s3(fault="none"):
    """Run moto, honest or with one of the faults below, with an empty bucket in it."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with _process([sys.executable, __file__, fault], **pipes) as process:
        port = int(process.stdout.readline())
        yield Server("s3", s3_environment(port))


def s3_environment(port):
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def azure():
    """Run azurite with an empty container in it, or skip the test and say why."""
    if not shutil.which("node") or not AZURITE.exists():
        pytest.skip("azurite is not installed: make azurite, which needs npm")
    port = free_port()
    arguments = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
    with _process(["node", str(AZURITE), *arguments, "--silent", "--disableTelemetry"], stdout=subprocess.DEVNULL):
        _wait_for(port)
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": _ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{_ACCOUNT}",
            "AZURE_ALLOW_HTTP": "true",
        }
        _make_container(environment["AZURE_STORAGE_ENDPOINT"])
        yield Server("az", environment)


def free_port():
    """A port that nobody listens on, and that the system gives to nobody else for a while."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def _process(command, **pipes):
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_for(port):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the server did not start within 30 s")


def _make_container(endpoint):
    """Containers are made with a signed request, which obstore does not make but can sign the address of."""


# The rest runs in the server's process.


def _deaf(environ, _answer):
    """Lose the condition, as services do that do not know it: a second write overwrites the first."""
    environ.pop("HTTP_IF_NONE_MATCH", None)


FAULTS = {"none": lambda environ, answer: None, "deaf": _deaf}


def _serve(fault):
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def application(environ, start_response):
        with one_at_a_time:  # moto looks and then writes, so that of two requests at once both might win
            return list(FAULTS[fault](environ, start_response) or moto(environ, start_response))

    server = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1])
