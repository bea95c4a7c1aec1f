"""Registry operations in an object store whose requests fail, are answered late, or are processed twice."""

import secrets
import urllib.error
import urllib.request
from http.client import HTTPException

import pytest

from gamesales.errors import TryAgainError
from gamesales.registry.refs import CHAMPION
from support import servers
from support.fault_proxy import FAST_FAULTS, FAULTS, Fault, FaultProxy, draw_faults, lose_store
from support.fault_trials import FaultTrials, quick_clients
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
# It can't be repeated once it is done.
UNREPEATED = {"delete an alias": Operation(three_versions, lambda registry: registry.delete_alias(CHAMPION, ""))}
CASES = OPERATIONS | STEPWISE | UNREPEATED


@pytest.fixture(scope="module", autouse=True)
def _quick_clients():
    with quick_clients():
        yield


def make_trials(server, name):
    """Prepare an operation of the table on a registry in an object store."""
    url = server.url(f"faults/{secrets.token_hex(4)}")
    root = f"{url}/registry"
    with server.entered():
        CASES[name].before(open_registry(root))
    return FaultTrials(
        server, url, lambda: CASES[name].change(open_registry(root)), lambda: read_contents(open_registry(root))
    )


# Most operations are tried on S3 only: a store differs in its requests, and these have all kinds of requests.
ON_AZURE = ("publish", "roll back", "copy", "set a policy", "collect garbage")
PARAMETERS = [*(f"s3 {name}" for name in CASES), *(f"azure {name}" for name in ON_AZURE)]


@pytest.fixture(scope="module", params=some("operations under faults", PARAMETERS, 1))
def parameter(request):
    return request.param


@pytest.fixture(scope="module")
def trials(request, parameter):
    store, _, name = parameter.partition(" ")
    return make_trials(request.getfixturevalue(store), name)


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
    trials = make_trials(s3, "promote")
    (event,) = (request for request in trials.requests if request.method == "PUT" and "/log/" in request.path)
    trials.restore()
    error, _ = trials.run(lose_store(event.number, Fault.CUT_AFTER))
    assert "it is not certain whether this event was written" in error.message
    assert error.hint.startswith("Before you run it again, see: gamesales history --registry s3://")
    assert trials.read() == trials.new


def test_one_failed_request_is_harmless(trials, parameter):
    """An operation succeeds if any of its requests fails in any way, and writes the same events."""
    for number, fault in trials.draw(parameter, FAST_FAULTS, writes=3, reads=1):
        trials.restore()
        error, proxy = trials.run({number: fault})
        assert error is None, f"{error}\n{proxy}"
        assert trials.read() == trials.new, proxy


def test_store_is_gone_from_a_request_on(trials, parameter):
    """If the store is gone from any request on, an operation is complete or was not done, and can be repeated."""
    for number, fault in trials.draw(parameter, (Fault.CUT_BEFORE, Fault.CUT_AFTER), writes=1, reads=1):
        trials.restore()
        error, proxy = trials.run(lose_store(number, fault))
        if not is_complete(trials, parameter, error, proxy):
            assert trials.run()[0] is None
            assert trials.read() == trials.new, proxy


def test_requests_fail_at_random(trials, parameter):
    """With 5% of the requests failing, late or processed twice, an operation is complete or was not done."""
    for example in range(many(100, 1)):
        trials.restore()
        seeds = (seed(f"{parameter} {example} {attempt}") for attempt in range(5))
        assert any(is_complete(trials, parameter, *trials.run(draw_faults(0.05, number, FAULTS))) for number in seeds)


@pytest.mark.parametrize("store", ["s3", pytest.param("azure", marks=pytest.mark.slow)])
def test_reader_reports_a_lost_store(request, store):
    """If the store is gone from any request of a reader on, the reader says so. It misses no event and no file."""
    server = request.getfixturevalue(store)
    root = server.url(f"faults/{secrets.token_hex(4)}")
    with server.entered():
        three_versions(open_registry(root))
    with FaultProxy(server) as proxy, proxy.server.entered():
        expected = read_contents(open_registry(root))
    for number in sample(f"requests of a reader in {store}", range(1, len(proxy.requests) + 1), 3):
        with FaultProxy(server, {number: Fault.CUT_ANSWER}) as proxy, proxy.server.entered():
            assert expected == read_contents(open_registry(root)), proxy
        with (
            FaultProxy(server, lose_store(number, Fault.CUT_AFTER)) as proxy,
            proxy.server.entered(),
            pytest.raises(TryAgainError),
        ):
            read_contents(open_registry(root))


def is_complete(trials, parameter, error, proxy):
    """Check the registry after an operation that succeeded, or failed with exit code 7. Return whether it was done."""
    after = trials.read()
    if error is None:
        assert after == trials.new, proxy
    else:
        assert error.exit_code == 7, f"{error}\n{proxy}"
        assert after in (trials.old, trials.new) or parameter.partition(" ")[2] in STEPWISE, f"{error}\n{proxy}"
    return after == trials.new
