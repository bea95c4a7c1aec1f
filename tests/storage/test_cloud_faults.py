"""Registry operations in an object store whose requests fail, are answered late, or are processed twice."""

import secrets
import time
import urllib.error
import urllib.request
from datetime import timedelta
from http.client import HTTPException

import pytest

from gamesales.errors import GamesalesError
from gamesales.storage import cloud
from gamesales.storage.store import open_store
from support import servers
from support.fault_proxy import FAST_FAULTS, Fault, FaultProxy, draw_faults, lose_store
from support.operations import (
    OPERATIONS,
    Operation,
    collect,
    evaluate,
    open_registry,
    open_source,
    read_contents,
    three_versions,
    three_versions_and_a_source,
)
from support.sampling import many, sample, seed, some


def evaluated_source(registry):
    """Make what is copied in several steps: a version and an evaluation."""
    three_versions_and_a_source(registry)
    evaluate(open_source(registry), 1)


# These write several events, and do the rest when they are repeated. All others write one event.
STEPWISE = {
    "copy": Operation(evaluated_source, OPERATIONS["copy"].change),
    "collect garbage": Operation(three_versions, collect),
}
CASES = OPERATIONS | STEPWISE
# Seconds, with the timeouts of these tests.
TIME_LIMIT = 15


@pytest.fixture(scope="module")
def s3():
    return servers.s3()


@pytest.fixture(scope="module")
def azure():
    with servers.azure() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _quick_client():
    """Let retries not wait, let a request time out after a second, and cache nothing."""
    waits = dict.fromkeys(("init_backoff", "max_backoff"), timedelta(milliseconds=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cloud._RETRIES, "backoff", cloud._RETRIES["backoff"] | waits)
        patch.setitem(cloud._RETRIES, "max_retries", 2)
        patch.setitem(cloud._TIMEOUTS, "timeout", "1s")
        patch.setenv("GAMESALES_CACHE", "/dev/null/cache")
        yield


class Trials:
    """An operation that is tried again and again on the same registry, through a proxy with faults."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.url = server.url(f"faults/{secrets.token_hex(4)}")
        self.root = f"{self.url}/registry"
        with self.server.entered():
            CASES[name].before(self.open())
            self.keys = self.read_keys()
            self.old = read_contents(self.open())
        error, self.proxy = self.run()
        assert error is None
        self.new = self.read()

    def open(self):
        return open_registry(self.root)

    def read(self):
        """Read the contents of the registry without the proxy."""
        with self.server.entered():
            return read_contents(self.open())

    def run(self, faults=lambda number: Fault.NONE):
        """Run the operation through a proxy; return its error or None, and the proxy."""
        begin, error = time.monotonic(), None
        with FaultProxy(self.server, faults, late=1.5) as proxy, proxy.server.entered():
            try:
                CASES[self.name].change(self.open())
            except GamesalesError as failure:
                error = failure
        assert time.monotonic() - begin < TIME_LIMIT, proxy
        return error, proxy

    def restore(self):
        """Make the registry what it was before the operation."""
        with self.server.entered():
            store = open_store(self.url)
            present = self.read_keys()
            for key in present.keys() - self.keys.keys():
                store.delete(key)
            for key in self.keys.keys() - present.keys():
                store.create(key, self.keys[key])

    def read_keys(self):
        store = open_store(self.url)
        return {key: store.read(key) for key in store.list("")}

    def draw(self, faults, writes, reads):
        """Return samples of the faults of requests, some of writes and some of reads."""
        points = {True: [], False: []}
        for request in self.proxy.requests:
            is_write = request.method in {"PUT", "DELETE"} or "comp=batch" in request.path
            points[is_write] += [(request.number, fault) for fault in faults]
        name = f"requests of {self.name} in {self.server.scheme}"
        return sample(f"{name}: writes", points[True], writes) + sample(f"{name}: reads", points[False], reads)


PARAMETERS = [f"{store} {name}" for store in ("s3", "azure") for name in CASES]


@pytest.fixture(scope="module", params=some("operations under faults", PARAMETERS, 1))
def trials(request):
    store, _, name = request.param.partition(" ")
    return Trials(request.getfixturevalue(store), name)


def test_proxy_injects_each_fault(s3):
    """A fault lets a request reach the server or not, and the client get the answer or not, as its name says."""
    outcomes = {}
    for fault in Fault:
        with FaultProxy(s3, {1: fault}, kill=lambda: None, late=0.05) as proxy:
            endpoint = proxy.server.environment["AWS_ENDPOINT_URL"]
            key = f"{servers.BUCKET}/faults/{secrets.token_hex(8)}"
            outcomes[fault] = (send(endpoint, "PUT", key), send(endpoint, "GET", key))
            assert [f"1 PUT /{key}: {fault.value}", f"2 GET /{key}: forwarded"] == list(map(str, proxy.requests))
    for fault, (write, read) in outcomes.items():
        assert read == (404 if fault in {Fault.CUT_BEFORE, Fault.BUSY, Fault.KILL_BEFORE} else 200), fault
        statuses = {Fault.NONE: 200, Fault.LATE: 200, Fault.LATE_ANSWER: 200, Fault.BUSY: 503, Fault.BROKEN: 500}
        assert write == {**statuses, Fault.TWICE: 412}.get(fault), fault


def send(endpoint, method, key):
    """Send a conditional request; return the status of its answer, or None if there is no answer."""
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=tests/20261130/us-east-1/s3/aws4_request"}
    if method == "PUT":
        headers["If-None-Match"] = "*"
    content = b"x" if method == "PUT" else None
    request = urllib.request.Request(f"{endpoint}/{key}", content, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, HTTPException):
        return None


def test_uncertain_event_is_reported(s3):
    """If the store is gone just after an event was sent, the message says that it may have been written."""
    trials = Trials(s3, "promote")
    (event,) = (request for request in trials.proxy.requests if request.method == "PUT" and "/log/" in request.path)
    trials.restore()
    error, _ = trials.run(lose_store(event.number, Fault.CUT_AFTER))
    assert "it is not certain whether this event was written" in error.message
    assert error.hint.startswith("Before you run it again, see: gamesales history --registry s3://")
    assert trials.read() == trials.new


def test_one_failed_request_is_harmless(trials):
    """An operation succeeds if any of its requests fails in any way, and writes the same events."""
    for number, fault in trials.draw(FAST_FAULTS, writes=3, reads=1):
        trials.restore()
        error, proxy = trials.run({number: fault})
        assert error is None, f"{error}\n{proxy}"
        assert trials.read() == trials.new, proxy


def test_store_is_gone_from_a_request_on(trials):
    """If the store is gone from any request on, an operation is complete or was not done, and can be repeated."""
    for number, fault in trials.draw((Fault.CUT_BEFORE, Fault.CUT_AFTER), writes=1, reads=1):
        trials.restore()
        error, proxy = trials.run(lose_store(number, fault))
        if not is_complete(trials, error, proxy):
            assert trials.run()[0] is None
            assert trials.read() == trials.new, proxy


def test_requests_fail_at_random(trials):
    """With 5% of the requests failing, late or processed twice, an operation is complete or was not done."""
    faults = (*FAST_FAULTS * 5, Fault.LATE, Fault.LATE_ANSWER)
    for example in range(many(100, 1)):
        trials.restore()
        runs = (trials.run(draw_faults(0.05, seed(f"{trials.name} {example} {at}"), faults)) for at in range(5))
        assert any(is_complete(trials, *run) for run in runs)


def is_complete(trials, error, proxy):
    """Check the registry after an operation that succeeded, or failed with exit code 7. Return whether it was done."""
    after = trials.read()
    if error is None:
        assert after == trials.new, proxy
    else:
        assert error.exit_code == 7, f"{error}\n{proxy}"
        assert after in (trials.old, trials.new) or trials.name in STEPWISE, f"{error}\n{proxy}"
    return after == trials.new
