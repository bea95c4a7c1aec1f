"""A proxy on the loopback between a client and an object store. It injects faults into requests.

    with FaultProxy(servers.s3(), {7: Fault.CUT_AFTER}) as proxy:      the answer to request 7 is lost
        …                                                              a client with proxy.server.environment
    str(proxy)                                                         7 PUT /registries/…: cut after forwarding

    FaultProxy(server, draw_faults(0.05, seed=3))                      5% of the requests fail, in any way

Requests are numbered from 1 in the order in which the proxy has read them, over all connections. The server of the
proxy has the URLs of the server behind it, and other endpoints in its environment. When the body ends, the proxy ends
each request that it has read, so that nothing changes in the store later.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from support.servers import Server

_PORT = re.compile(r"(?<=http://127\.0\.0\.1:)\d+")
# Headers about one connection, which a proxy does not forward.
_HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding"}
_RESET = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What happens to a request. The server has processed it unless the name says "before" or the answer is 503."""

    NONE = "forwarded"
    CUT_BEFORE = "cut before forwarding"
    CUT_AFTER = "cut after forwarding"
    CUT_ANSWER = "cut in the answer"
    BUSY = "answered 503, not forwarded"
    BROKEN = "forwarded, answered 500"
    TWICE = "forwarded twice"
    LATE = "forwarded late"
    LATE_ANSWER = "answered late"
    KILL_BEFORE = "killed before forwarding"
    KILL_AFTER = "killed after forwarding"


# All faults that a client meets, the late ones more rarely, because each takes as long as the client's timeout.
FAST_FAULTS = (Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.CUT_ANSWER, Fault.BUSY, Fault.BROKEN, Fault.TWICE)
FAULTS = (*FAST_FAULTS * 5, Fault.LATE, Fault.LATE_ANSWER)
_NOT_FORWARDED = {Fault.CUT_BEFORE, Fault.BUSY, Fault.KILL_BEFORE}
_WITHOUT_ANSWER = {Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.KILL_BEFORE, Fault.KILL_AFTER}


def draw_faults(share: float, seed: int, faults: Sequence[Fault] = FAST_FAULTS) -> Callable[[int], Fault]:
    """Return a function that gives a share of the request numbers one of the faults."""

    def choose(number: int) -> Fault:
        draw = random.Random(f"{seed} {number}")
        return draw.choice(faults) if draw.random() < share else Fault.NONE

    return choose


def lose_store(number: int, fault: Fault) -> Callable[[int], Fault]:
    """Return a function that gives a request a fault, and cuts every later request before it is forwarded."""
    return lambda at: Fault.NONE if at < number else fault if at == number else Fault.CUT_BEFORE


@dataclass(frozen=True)
class Request:
    """A request that the proxy has read."""

    number: int
    method: str
    path: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.number} {self.method} {self.path}: {self.fault.value}"


class FaultProxy:
    """A proxy in front of a server.

    Args:
        server: the server to forward to.
        faults: the fault of a request by its number: a mapping, in which the other numbers are missing, or a function.
        kill: called for a request that kills, such as the ``kill`` of a process.
        late: seconds by which a late request or answer is delayed.
        latency: seconds by which every request is delayed.
    """

    def __init__(
        self,
        server: Server,
        faults: Mapping[int, Fault] | Callable[[int], Fault] = lambda number: Fault.NONE,
        *,
        kill: Callable[[], object] | None = None,
        late: float = 3.0,
        latency: float = 0.0,
    ) -> None:
        self._choose = faults if callable(faults) else lambda number: faults.get(number, Fault.NONE)
        self.kill, self._late, self._latency = kill, late, latency
        self.requests: list[Request] = []
        self._lock, self._is_closed = threading.Lock(), threading.Event()
        (port,) = {match[0] for value in server.environment.values() if (match := _PORT.search(value))}
        self._listener = _Listener(self, int(port))
        own_port = str(self._listener.server_port)
        environment = {name: _PORT.sub(own_port, value) for name, value in server.environment.items()}
        self.server = replace(server, environment=environment)

    def __enter__(self) -> Self:
        threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_closed.set()
        self._listener.shutdown()
        self._listener.stop_reading()
        self._listener.server_close()  # waits for the threads

    def __str__(self) -> str:
        """List the requests that met a fault."""
        return "\n".join(str(request) for request in self.requests if request.fault is not Fault.NONE)

    def admit(self, method: str, path: str) -> Fault:
        """Number a request, delay it, and return its fault."""
        with self._lock:
            number = len(self.requests) + 1
            request = Request(number, method, path, self._choose(number))
            self.requests.append(request)
        self.delay(self._latency)
        return request.fault

    def delay(self, seconds: float | None = None) -> None:
        """Wait for some seconds, by default for those of a late request, or until the proxy ends."""
        self._is_closed.wait(self._late if seconds is None else seconds)


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close waits for them
    request_queue_size = 64

    def __init__(self, proxy: FaultProxy, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy, self.target = proxy, target
        self._connections: set[socket.socket] = set()

    def process_request(self, request, client_address) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:
        self._connections.discard(request)
        self.close_request(request)  # without a shutdown, so that a connection can be reset

    def stop_reading(self) -> None:
        """End each connection after the request that was read from it."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), OSError):  # not a client that is gone
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def _process(self) -> None:
        assert "Transfer-Encoding" not in self.headers
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        if len(body) < size:  # the client is gone
            self.close_connection = True
            return
        proxy = self.server.proxy
        fault = proxy.admit(self.command, self.path)
        if fault is Fault.LATE:
            proxy.delay()
        if fault is Fault.TWICE:
            self._forward(body)
        head, content = _format_head(503), b""
        if fault not in _NOT_FORWARDED:
            head, content = self._forward(body)
        if fault is Fault.BROKEN:
            head, content = _format_head(500), b""
        if fault is Fault.LATE_ANSWER:
            proxy.delay()
        if fault in {Fault.KILL_BEFORE, Fault.KILL_AFTER}:
            proxy.kill()
        if fault in {Fault.CUT_BEFORE, Fault.CUT_AFTER}:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close_connection = self.close_connection or fault in {*_WITHOUT_ANSWER, Fault.CUT_ANSWER}
        if fault is Fault.CUT_ANSWER:
            self.wfile.write(head + content[: len(content) // 2] if content else head[:5])
        elif fault not in _WITHOUT_ANSWER:
            self.wfile.write(head + content)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _process  # noqa: N815 - names that the base class looks for

    def _forward(self, body: bytes) -> tuple[bytes, bytes]:
        """Send the request to the server; return the head and the content of its answer."""
        connection = HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_HEADERS:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        headers = [header for header in response.getheaders() if header[0].lower() not in _HOP_HEADERS]
        if "Content-Length" not in response.headers:
            headers.append(("Content-Length", str(len(content))))
        return _format_head(response.status, headers), content

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def _format_head(status: int, headers: Sequence[tuple[str, str]] = (("Content-Length", "0"),)) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")
