"""Object stores on this machine, each a process of its own that speaks real HTTP on a free port of the loopback.

    server = s3()                             moto, which keeps buckets in memory; each test process starts it once
    server.url("mine")                        s3://registries/mine
    server.environment                        what a client must find in its environment

Run as a script, this module is what starts a server and ends it when its standard input closes: so no server outlives
the tests, however they end.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qs, urlsplit
from wsgiref.handlers import format_date_time

BUCKET = "registries"
# One object in a list of Azure's.
_BLOB = re.compile(rb"<Blob><Name>([^<]*)</Name>.*?</Blob>", re.DOTALL)
# Installed by `make servers`; moto in an environment of its own.
INSTALLED = Path(__file__).parents[1] / ".servers"
MOTO_PYTHON = INSTALLED / "moto/bin/python"
AZURITE = INSTALLED / "azurite/node_modules/azurite/dist/src/blob/main.js"
# The only account of azurite, with a key that is no secret: its manual prints it.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Server:
    """A running store, and what a client's environment must hold to find it."""

    scheme: str
    environment: dict[str, str]

    def url(self, prefix):
        return f"{self.scheme}://{BUCKET}/{prefix}"

    def entered(self):
        """Return a context that sets the environment of this process, so that new clients use the server."""
        return mock.patch.dict(os.environ, self.environment)

    def enter(self, patch):
        """Set the environment of this process by a patch of pytest; return the URL of an empty folder."""
        for name, value in self.environment.items():
            patch.setenv(name, value)
        return self.url(secrets.token_hex(4))


def s3(fault="none"):
    """Return moto with a bucket in it, honest or with one of the faults below. All share the bucket."""
    return Server("s3", s3_environment(_s3_ports()[fault]))


@contextmanager
def own_s3(*buckets):
    """Run a moto of its own with these empty buckets; yield what a client must find in its environment."""
    if not MOTO_PYTHON.exists():
        _skip("moto is not installed; make servers installs it")
    with _server(MOTO_PYTHON, "s3") as ports:
        for bucket in buckets:
            _put(f"http://127.0.0.1:{ports['none']}/{bucket}", {})
        yield s3_environment(ports["none"])


@cache
def _s3_ports():
    """Run moto to the end of this process; return its port for each fault."""
    if not MOTO_PYTHON.exists():
        _skip("moto is not installed; make servers installs it")
    ending = ExitStack()
    ports = ending.enter_context(_server(MOTO_PYTHON, "s3"))
    atexit.register(ending.close)
    _put(f"http://127.0.0.1:{ports['none']}/{BUCKET}", {})
    return ports


def take_requests(server):
    """Return the lines of the requests to the server that counts them, since the last call."""
    with urllib.request.urlopen(f"{server.environment['AWS_ENDPOINT_URL']}/.requests", timeout=30) as answer:
        return answer.read().decode().splitlines()


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
        _skip("azurite is not installed; make servers installs it where there is npm")
    with _server(sys.executable, "azure") as port:
        endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        _put(f"{endpoint}/{BUCKET}?restype=container", _signed(f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"))
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": endpoint,
            "AZURE_ALLOW_HTTP": "true",
        }
        yield Server("az", environment)


def free_port():
    """A port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def _server(python, name):
    """Run this module as a script; yield what it prints as JSON when the server listens: its port, or several."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([python, __file__, name], **pipes) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


def _skip(reason):
    import pytest  # which the server's environment does not have

    pytest.skip(reason)


def _put(url, headers):
    """Make a bucket or a container, which obstore has no verb for."""
    with urllib.request.urlopen(urllib.request.Request(url, b"", headers, method="PUT"), timeout=30) as answer:
        assert answer.status in {200, 201}


def _signed(resource):
    """The headers of a request of Azure's that has no content, signed with the account's key."""
    headers = {"x-ms-date": format_date_time(time.time()), "x-ms-version": "2021-08-06"}
    lines = ["PUT", *[""] * 4, "application/octet-stream", *[""] * 6, *map(":".join, headers.items()), resource]
    digest = hmac.digest(base64.b64decode(ACCOUNT_KEY), "\n".join(lines).encode(), hashlib.sha256)
    signature = base64.b64encode(digest).decode()
    content = {"Content-Type": "application/octet-stream"}
    return {**headers, **content, "Authorization": f"SharedKey {ACCOUNT}:{signature}"}


# What follows runs in the server's process.
_ANSWERED: set[str] = set()
_REQUESTS: list[str] = []
_BROKEN: list[str] = []


def _deaf(environ, start_response, store):
    """Lose the condition, as a service does that does not know it: a second write overwrites the first."""
    environ.pop("HTTP_IF_NONE_MATCH", None)
    return store(environ, start_response)


def _unclear(environ, start_response, store):
    """Do each write, but lose the first answer on the way, so that the client tries again."""
    key = environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] != "PUT" or not environ.get("HTTP_IF_NONE_MATCH") or key in _ANSWERED:
        return store(environ, start_response)
    _ANSWERED.add(key)
    list(store(environ, lambda status, headers, exc_info=None: None))
    return _refuse(start_response, "503 Slow Down")


def _conflicting(environ, start_response, store):
    """Answer the first write of each key with a conflict, and do not write, as S3 does when two writes meet."""
    key = environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] != "PUT" or not environ.get("HTTP_IF_NONE_MATCH") or key in _ANSWERED:
        return store(environ, start_response)
    _ANSWERED.add(key)
    return _refuse(start_response, "409 Conflict")


def _undecided(environ, start_response, store):
    """Answer every conditional write but the probe's with a conflict, and do not write."""
    if environ.get("HTTP_IF_NONE_MATCH") and "/.probe/" not in environ["PATH_INFO"]:
        return _refuse(start_response, "409 Conflict")
    return store(environ, start_response)


def _unable(environ, start_response, store):
    """Have no writes on condition, and say so."""
    if environ.get("HTTP_IF_NONE_MATCH"):
        return _refuse(start_response, "501 Not Implemented")
    return store(environ, start_response)


def _counting(environ, start_response, store):
    """Do what each request asks for, and answer the path /.requests with the lines of the requests since the last."""
    if environ["PATH_INFO"] == "/.requests":
        text = "\n".join(_REQUESTS).encode()
        _REQUESTS.clear()
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text]
    _REQUESTS.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ.get('HTTP_RANGE', '')}".strip())
    return store(environ, start_response)


def _breaking(environ, start_response, store):
    """Break off the content of the first two answers to a request for a range."""
    place = f"{environ['PATH_INFO']} {environ.get('HTTP_RANGE')}"
    if environ["REQUEST_METHOD"] != "GET" or "HTTP_RANGE" not in environ or _BROKEN.count(place) == 2:
        return store(environ, start_response)
    _BROKEN.append(place)
    pieces = list(store(environ, start_response))
    return [b"".join(pieces)[:-1]]


def _keeping(environ, start_response, store):
    """Let nothing be removed."""
    if environ["REQUEST_METHOD"] == "DELETE":
        return _refuse(start_response, "403 Forbidden")
    return store(environ, start_response)


def _refuse(start_response, status):
    start_response(status, [("Content-Length", "0")])
    return [b""]


FAULTS = {
    "none": lambda environ, start_response, store: store(environ, start_response),
    "deaf": _deaf,
    "unclear": _unclear,
    "conflicting": _conflicting,
    "undecided": _undecided,
    "unable": _unable,
    "counting": _counting,
    "breaking": _breaking,
    "keeping": _keeping,
    "denied": lambda environ, start_response, store: _refuse(start_response, "403 Forbidden"),
    "broken": lambda environ, start_response, store: _refuse(start_response, "503 Slow Down"),
}


def _serve_s3():
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)
    one_at_a_time = threading.Lock()

    def serve(behave):
        def application(environ, start_response):
            with one_at_a_time:  # moto looks and then writes, so that of two writers at once both might win
                return list(behave(environ, start_response, moto))

        server = make_server("127.0.0.1", 0, application, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_port

    _say({fault: serve(behave) for fault, behave in FAULTS.items()})
    sys.stdin.read()


def _serve_azure():
    port = free_port()
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    command = ["node", str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as azurite:
        try:
            _wait_for(port)
            front = ThreadingHTTPServer(("127.0.0.1", 0), type("Front", (_AzureFront,), {"port": port}))
            threading.Thread(target=front.serve_forever, daemon=True).start()
            _say(front.server_port)
            sys.stdin.read()
        finally:
            azurite.kill()


class _AzureFront(BaseHTTPRequestHandler):
    """Pass requests on to azurite, and begin lists where ``startFrom`` says: azurite does not know this parameter."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms between its head and its content
    port = 0

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        start = parse_qs(urlsplit(self.path).query).get("startFrom", [""])[0]
        if start:
            content = _BLOB.sub(lambda blob: blob[0] if blob[1].decode() >= start else b"", content)
        self.send_response(answer.status, answer.reason)
        length = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(content))
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - names of http.server

    def log_message(self, format, *arguments):  # noqa: A002
        """Print nothing."""


def _say(ports):
    sys.stdout.write(f"{json.dumps(ports)}\n")
    sys.stdout.flush()


def _wait_for(port):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("azurite did not start within 30 s")


if __name__ == "__main__":
    {"s3": _serve_s3, "azure": _serve_azure}[sys.argv[1]]()
