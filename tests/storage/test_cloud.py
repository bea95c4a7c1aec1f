"""A registry in an object store: what it refuses, how it reports failures, and that it loses no event."""

import re
import socket
import subprocess
import sys
from datetime import timedelta

import pytest

from gamesales.errors import IntegrityError, RegistryError, TryAgainError, UsageError
from gamesales.jobs.loading import open_registry
from gamesales.registry.log import EventLog
from gamesales.registry.registry import ModelRegistry
from gamesales.storage import cloud
from gamesales.storage.store import LocalStore, open_store
from support import servers
from support.processes import loaded_by
from support.versions import publish_simple

VERBS = [
    lambda store: store.read("m/1"),
    lambda store: store.create("m/1", b"data"),
    lambda store: store.list("m"),
]

# Uses a store, then forks. The child uses the same store and a new store; the parent goes on.
FORKED = """
import os, sys
from gamesales.errors import RegistryError
from gamesales.storage.store import open_store
store = open_store(sys.argv[1])
store.create("m/1", b"data")
child = os.fork()
if child == 0:
    for used in (store, open_store(sys.argv[1])):
        try:
            print(used.read("m/1"), flush=True)
        except RegistryError as error:
            print(error, error.hint, sep="; ", flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(store.read("m/1"))
"""

# Forks first. Opening a store does not use it.
FORKED_BEFORE = """
import os, sys
from gamesales.storage.store import open_store
store = open_store(sys.argv[1])
child = os.fork()
store.create(f"m/{'child' if child == 0 else 'parent'}", b"data")
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(*store.list("m"))
"""


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    """Let retries not wait."""
    waits = dict.fromkeys(("init_backoff", "max_backoff"), timedelta(milliseconds=1))
    monkeypatch.setitem(cloud._RETRIES, "backoff", cloud._RETRIES["backoff"] | waits)


@pytest.fixture
def enter(monkeypatch):
    """Set the environment of this process for a port or with other settings."""
    return lambda environment: servers.Server("s3", environment).enter(monkeypatch)


def run_python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()


@pytest.mark.parametrize("text", ["registry", "./a:/b", "a/s3:/b", "C:", "s3", "data:1"])
def test_path_is_a_folder(text):
    """A path opens a local store."""
    assert isinstance(open_store(text), LocalStore)
    assert f"{text.removeprefix('./')}/" == open_store(text).location


def test_file_url_is_a_folder(tmp_path):
    """A file URL opens a local store, with escapes decoded."""
    opened = open_store(f"file://{tmp_path}/a%20b")
    assert opened.create("m/1", b"data")
    assert b"data" == (tmp_path / "a b/m/1").read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        *[
            "http://host/a",
            "ftp://host",
            "hdfs://a/b",
            "s3:/bucket/prefix",
            "s3:bucket",
            "az:/a",
            "memory:x",
            "memory://",
        ],
        *["file://host/folder", "file:folder", "s3://", "s3:///prefix", "s3://bucket/../x", "s3://bucket/.hidden"],
        *["s3://bucket/a b", "s3://bucket//a", "gs://bucket/a?x=1", "az://bucket#x", "S3://bucket"],
    ],
)
def test_unsupported_url_is_refused(text):
    """Another URL is refused, and the message lists the supported forms."""
    with pytest.raises(UsageError, match=r"can't hold a registry; expected .*s3://BUCKET/PREFIX") as refused:
        open_store(text)
    assert repr(text)[:6] in refused.value.message
    assert refused.value.hint


def test_password_is_not_printed():
    """The message about a URL with a password hides the password."""
    with pytest.raises(UsageError, match="…bucket/prefix") as refused:
        open_store("s3://key:secret@bucket/prefix")
    assert "secret" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3://bucket/a/b", "s3://bucket/a/b/"])
def test_location_ends_with_slash(enter, url):
    """A location ends with one slash."""
    enter(servers.s3_environment(1))
    assert f"{url.rstrip('/')}/" == open_store(url).location


def test_missing_obstore_hints_to_install(cli, monkeypatch):
    """Without obstore, a command says what to install."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    ran = cli("versions", "--registry", "s3://bucket/prefix")
    assert 2 == ran.code
    assert "s3://bucket/prefix/ needs obstore, which is not installed" in ran.err
    assert "pip install 'gamesales[cloud]'" in ran.err


def test_local_registry_loads_no_obstore(tmp_path):
    """A local registry does not import obstore."""
    code = """
from gamesales.jobs.loading import open_registry
assert not open_registry("here", "m").read_state().read_versions()
"""
    assert "obstore" not in loaded_by(tmp_path, code)


def test_commands_accept_a_url(s3_url, cli, monkeypatch):
    """Commands take a URL as an option and from the environment."""
    publish_simple(open_registry(s3_url, "game-earnings"))

    assert 0 == cli("promote", "1", "--registry", s3_url).code
    monkeypatch.setenv("GAMESALES_REGISTRY", s3_url)
    assert f"{s3_url}/" == cli("versions", "--json").document["registry"]
    assert f"game-earnings in {s3_url}/ is sound" in cli("verify").out


@pytest.mark.parametrize("s3_url", ["deaf"], indirect=True)
def test_store_without_condition_is_refused(s3_url):
    """A store that ignores the condition is refused, and nothing is written."""
    store = open_store(s3_url)
    for _ in range(2):
        with pytest.raises(RegistryError, match="can't hold a registry: it let a key be written twice") as refused:
            publish_simple(ModelRegistry(store))
    assert "If-None-Match" in refused.value.message
    assert [] == list_all_names(s3_url)


@pytest.mark.parametrize("s3_url", ["unable"], indirect=True)
def test_unsupported_condition_is_refused(s3_url):
    """A store that answers 501 to a conditional write is refused with a hint."""
    with pytest.raises(RegistryError, match="501 Not Implemented") as refused:
        open_store(s3_url).create("m/1", b"data")
    assert "writes on condition (If-None-Match)" in refused.value.hint
    assert not isinstance(refused.value, TryAgainError)


def test_probe_leaves_nothing(s3_url):
    """The probe removes its key."""
    open_store(s3_url).create("m/1", b"data")
    assert ["m/1"] == list_all_names(s3_url)


@pytest.mark.parametrize("s3_url", ["keeping"], indirect=True)
def test_delete_right_is_not_needed(s3_url):
    """Without the right to remove, a registry can be written; the probe stays under a hidden name."""
    store = open_store(s3_url)
    assert 1 == publish_simple(ModelRegistry(store), evaluated=False)
    assert (1, 2) == ModelRegistry(store).verify()
    assert 4 == len(list_all_names(s3_url))
    assert 3 == len(store.list(""))


def list_all_names(url):
    """List the names in a store, also hidden names."""
    import obstore

    return sorted(entry["path"] for entry in obstore.list(open_store(url)._client).collect())


@pytest.mark.parametrize("s3_url", ["unclear"], indirect=True)
def test_lost_answer_writes_once(s3_url):
    """If the answer to a write is lost, the client retries and finds its own write."""
    store = open_store(s3_url)
    assert store.create("m/1", b"mine")
    assert not store.create("m/1", b"another's")

    for reason in ("one", "two"):
        EventLog(store, "m").append("alias.set", reason, lambda events: {})
    assert ["one", "two"] == [event.reason for event in EventLog(store, "m").read()]
    assert 1 == publish_simple(ModelRegistry(store), evaluated=False)
    assert (1, 2) == ModelRegistry(store).verify()


@pytest.mark.parametrize("s3_url", ["conflicting"], indirect=True)
def test_conflict_is_repeated(s3_url):
    """A write that is refused for a conflict, while the key is absent, is repeated."""
    store = open_store(s3_url)
    assert store.create("m/1", b"mine")
    assert not store.create("m/1", b"another's")
    assert 1 == publish_simple(ModelRegistry(store), evaluated=False)
    assert (1, 2) == ModelRegistry(store).verify()


@pytest.mark.parametrize("s3_url", ["undecided"], indirect=True)
def test_endless_conflict_exits_7(s3_url, monkeypatch):
    """If the conflict stays, a command exits with 7, and never hints at a backup."""
    monkeypatch.setattr("gamesales.storage.cloud._CONFLICT_WAITS", (0.001, 0.002))
    with pytest.raises(TryAgainError, match=r"m/1: the service refused the write .* does not exist \(tried 3 times\)"):
        open_store(s3_url).create("m/1", b"mine")
    with pytest.raises(TryAgainError) as failure:
        publish_simple(ModelRegistry(open_store(s3_url)))
    assert (7, "Check the network and the service, then run it again") == (
        failure.value.exit_code,
        failure.value.hint,
    )
    assert [] == list_all_names(s3_url)


@pytest.mark.parametrize("s3_url", ["denied"], indirect=True)
@pytest.mark.parametrize("verb", VERBS)
def test_forbidden_hints_at_credentials(s3_url, verb):
    """403 hints at the credentials."""
    with pytest.raises(RegistryError, match=rf"^{s3_url}/\S*: .*403 Forbidden") as refused:
        verb(open_store(s3_url))
    assert "Check the credentials in the environment" in refused.value.hint


@pytest.mark.parametrize("verb", VERBS)
def test_missing_bucket_is_reported(s3_url, verb):
    """A missing bucket is reported with a hint to make it."""
    url = s3_url.replace(servers.BUCKET, "nobodys")
    with pytest.raises(RegistryError, match="bucket does not exist") as refused:
        verb(open_store(url))
    assert "Make the bucket or container first" in refused.value.hint


@pytest.mark.parametrize("s3_url", ["broken"], indirect=True)
@pytest.mark.parametrize("verb", VERBS)
def test_busy_store_is_try_again(s3_url, verb):
    """503 is an error to try again."""
    with pytest.raises(TryAgainError, match="503 Service Unavailable"):
        verb(open_store(s3_url))


def test_unreachable_store_exits_7(cli, enter):
    """A command exits with 7 if no server answers."""
    enter(servers.s3_environment(servers.free_port()))
    ran = cli("versions", "--registry", "s3://bucket/prefix")
    assert 7 == ran.code
    assert "s3://bucket/prefix/game-earnings/checkpoints: HTTP error" in ran.err
    assert "Check the network and the service" in ran.err


@pytest.mark.slow
def test_silent_store_times_out(enter, monkeypatch):
    """A server that accepts connections and never answers times out, after one repetition."""
    monkeypatch.setitem(cloud._TIMEOUTS, "timeout", "2s")
    monkeypatch.setitem(cloud._RETRIES, "retry_timeout", timedelta(seconds=1))
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        enter(servers.s3_environment(silent.getsockname()[1]))
        with pytest.raises(TryAgainError, match="HTTP error"):
            open_store("s3://bucket").read("m/1")
        silent.setblocking(False)
        for _ in range(2):
            silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_missing_credentials_are_reported(enter, monkeypatch):
    """Without credentials and without a metadata service, the hint names the credentials."""
    enter({"AWS_METADATA_ENDPOINT": f"http://127.0.0.1:{servers.free_port()}"})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RegistryError, match="s3://bucket/m/1: ") as refused:
        open_store("s3://bucket").read("m/1")
    assert "Check the credentials in the environment" in refused.value.hint


def test_plain_http_must_be_allowed(enter):
    """An address without TLS is refused unless it is allowed."""
    enter({**servers.s3_environment(servers.free_port()), "AWS_ALLOW_HTTP": "false"})
    with pytest.raises(RegistryError, match="builder error") as refused:
        open_store("s3://bucket").read("m/1")
    assert "AWS_ALLOW_HTTP=true" in refused.value.hint


def test_bad_settings_are_refused(enter):
    """Settings that make no client are refused when the store is opened."""
    enter({"AWS_CONDITIONAL_PUT": "perhaps"})
    with pytest.raises(RegistryError, match="perhaps") as refused:
        open_store("s3://bucket")
    assert "Check the settings in the environment" in refused.value.hint


def test_fork_after_use_is_refused(s3_url):
    """A child forked after a store was used gets an error; it would wait forever."""
    same, new, parent = run_python(FORKED, s3_url)
    for line in (same, new):
        assert re.match(rf"{s3_url}/ can't be used here: this process was forked from one that had used", line)
        assert 'get_context("spawn")' in line
    assert "b'data'" == parent


def test_fork_before_use_works(s3_url):
    """A store that was not used before a fork works in parent and child."""
    assert ["m/child m/parent"] == run_python(FORKED_BEFORE, s3_url)


def test_changed_object_is_refused(s3_url):
    """An event that was changed in the bucket is refused."""
    store = open_store(s3_url)
    publish_simple(ModelRegistry(store))
    key = "game-earnings/log/00000000000000000001.json"
    data = store.read(key)
    store.delete(key)
    store.create(key, data.replace(b"for a test", b"for a fest"))

    with pytest.raises(IntegrityError, match=f"{s3_url}/{key} was changed"):
        ModelRegistry(store).verify()
