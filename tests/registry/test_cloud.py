"""A registry in an object store: what it refuses, how its failures are told, and that no event is lost or doubled."""

import re
import secrets
import socket
import subprocess
import sys

import pytest

from gamesales.errors import IntegrityError, RegistryError, TryAgainError, UsageError
from gamesales.jobs.loading import open_registry
from gamesales.registry.log import EventLog
from gamesales.registry.registry import ModelRegistry
from gamesales.registry.store import LocalStore, open_store
from support import servers
from support.processes import loaded_by
from support.versions import publish_simple

VERBS = [
    lambda store: store.read("m/1"),
    lambda store: store.create("m/1", b"data"),
    lambda store: store.list("m"),
]

# Uses a store, forks, and lets the child use the same one and a new one; the parent goes on.
FORKED = """
import os, sys
from gamesales.errors import RegistryError
from gamesales.registry.store import open_store
store = open_store(sys.argv[1])
store.create("m/1", b"data")
child = os.fork()
if child == 0:
    for one in (store, open_store(sys.argv[1])):
        try:
            print(one.read("m/1"), flush=True)
        except RegistryError as error:
            print(error, error.hint, sep="; ", flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(store.read("m/1"))
"""

# Forks first; opening a store is no use of it.
FORKED_BEFORE = """
import os, sys
from gamesales.registry.store import open_store
store = open_store(sys.argv[1])
child = os.fork()
store.create(f"m/{'child' if child == 0 else 'parent'}", b"data")
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(*store.list("m"))
"""


@pytest.fixture
def enter(monkeypatch, tmp_path):
    """Let this process's environment lead to a server, or to a port."""

    def set_environment(environment):
        monkeypatch.setenv("GAMESALES_CACHE", str(tmp_path / "cache"))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return set_environment


@pytest.fixture
def s3(request, enter):
    """A server's URL for a registry; the test may name the server's fault."""
    with servers.s3(getattr(request, "param", "none")) as server:
        enter(server.environment)
        yield server.url(secrets.token_hex(4))


def run_python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()


@pytest.mark.parametrize("text", ["registry", "./a:/b", "a/s3:/b", "C:", "s3", "data:1"])
def test_a_path_is_a_folder(text):
    assert isinstance(open_store(text), LocalStore)
    assert f"{text.removeprefix('./')}/" == open_store(text).location


def test_a_file_url_is_a_folder(tmp_path):
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
def test_a_url_that_can_hold_no_registry_is_refused_with_what_can(text):
    with pytest.raises(UsageError, match=r"can't hold a registry; expected .*s3://BUCKET/PREFIX") as refused:
        open_store(text)
    assert repr(text)[:6] in refused.value.message
    assert refused.value.hint


def test_a_url_with_a_password_is_refused_without_telling_it():
    with pytest.raises(UsageError, match="…bucket/prefix") as refused:
        open_store("s3://key:secret@bucket/prefix")
    assert "secret" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3://bucket/a/b", "s3://bucket/a/b/"])
def test_a_location_ends_with_one_slash(enter, url):
    enter(servers.s3_environment(1))
    assert f"{url.rstrip('/')}/" == open_store(url).location


def test_without_obstore_a_command_says_what_to_install(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    ran = cli("versions", "--registry", "s3://bucket/prefix")
    assert 2 == ran.code
    assert "a registry at s3://bucket/prefix/ needs obstore, which is not installed" in ran.err
    assert "pip install 'gamesales[cloud]'" in ran.err


def test_a_registry_on_disk_loads_no_obstore(tmp_path):
    code = "from gamesales.jobs.loading import open_registry\nassert not open_registry('here', 'm').state().versions"
    assert "obstore" not in loaded_by(tmp_path, code)


def test_commands_take_a_url_as_option_and_from_the_environment(s3, cli, monkeypatch):
    publish_simple(open_registry(s3, "game-earnings"))

    assert 0 == cli("promote", "1", "--registry", s3).code
    monkeypatch.setenv("GAMESALES_REGISTRY", s3)
    assert f"{s3}/" == cli("versions", "--json").document["registry"]
    assert f"game-earnings in {s3}/ is sound" in cli("verify").out


@pytest.mark.parametrize("s3", ["deaf"], indirect=True)
def test_a_store_that_ignores_the_condition_is_refused_before_anything_is_written(s3):
    store = open_store(s3)
    for _ in range(2):
        with pytest.raises(RegistryError, match="can't hold a registry: it let a key be written twice") as refused:
            publish_simple(ModelRegistry(store))
    assert "If-None-Match" in refused.value.message
    assert [] == everything_in(s3)


@pytest.mark.parametrize("s3", ["unable"], indirect=True)
def test_a_store_without_writes_on_condition_is_refused(s3):
    with pytest.raises(RegistryError, match="501 Not Implemented") as refused:
        open_store(s3).create("m/1", b"data")
    assert "writes on condition (If-None-Match)" in refused.value.hint
    assert not isinstance(refused.value, TryAgainError)


def test_the_probe_leaves_nothing(s3):
    open_store(s3).create("m/1", b"data")
    assert ["m/1"] == everything_in(s3)


@pytest.mark.parametrize("s3", ["keeping"], indirect=True)
def test_who_may_add_but_not_remove_can_write_to_a_registry(s3):
    """The probe stays, under a name that is no key."""
    store = open_store(s3)
    assert 1 == publish_simple(ModelRegistry(store), evaluated=False)
    assert (1, 2) == ModelRegistry(store).verify()
    assert 4 == len(everything_in(s3))
    assert 3 == len(store.list(""))


def everything_in(url):
    """The names that a store really holds, hidden ones too."""
    import obstore

    return sorted(one["path"] for one in obstore.list(open_store(url)._client).collect())


@pytest.mark.parametrize("s3", ["unclear"], indirect=True)
def test_a_write_whose_answer_gets_lost_is_done_once(s3):
    """The client tries again and is told that the key exists: by its own write."""
    store = open_store(s3)
    assert store.create("m/1", b"mine")
    assert not store.create("m/1", b"another's")

    for reason in ("one", "two"):
        EventLog(store, "m").append("alias.set", reason, lambda events: {})
    assert ["one", "two"] == [event.reason for event in EventLog(store, "m").read()]
    assert 1 == publish_simple(ModelRegistry(store), evaluated=False)
    assert (1, 2) == ModelRegistry(store).verify()


@pytest.mark.parametrize("s3", ["denied"], indirect=True)
@pytest.mark.parametrize("verb", VERBS)
def test_a_refused_request_points_to_the_credentials(s3, verb):
    with pytest.raises(RegistryError, match=rf"^{s3}/\S*: .*403 Forbidden") as refused:
        verb(open_store(s3))
    assert "Check the credentials in the environment" in refused.value.hint


@pytest.mark.parametrize("verb", VERBS)
def test_a_missing_bucket_is_told(s3, verb):
    url = s3.replace(servers.BUCKET, "nobodys")
    with pytest.raises(RegistryError, match="bucket does not exist") as refused:
        verb(open_store(url))
    assert "Make the bucket or container first" in refused.value.hint


@pytest.mark.parametrize("s3", ["broken"], indirect=True)
@pytest.mark.parametrize("verb", VERBS)
def test_a_store_that_fails_for_now_is_worth_another_try(s3, verb):
    with pytest.raises(TryAgainError, match="503 Service Unavailable"):
        verb(open_store(s3))


def test_a_store_that_nobody_answers_for_ends_a_command_with_7(cli, enter):
    enter(servers.s3_environment(servers.free_port()))
    ran = cli("versions", "--registry", "s3://bucket/prefix")
    assert 7 == ran.code
    assert "s3://bucket/prefix/game-earnings/checkpoints: HTTP error" in ran.err
    assert "Check the network and the service" in ran.err


@pytest.mark.slow
def test_a_store_that_takes_calls_and_never_answers_is_given_up(enter):
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        enter(servers.s3_environment(silent.getsockname()[1]))
        with pytest.raises(TryAgainError, match="HTTP error"):
            open_store("s3://bucket").read("m/1")


def test_without_credentials_the_failure_says_so(enter, monkeypatch):
    """Nobody is on the machine to tell it who it is either."""
    enter({"AWS_METADATA_ENDPOINT": f"http://127.0.0.1:{servers.free_port()}"})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RegistryError, match="s3://bucket/m/1: ") as refused:
        open_store("s3://bucket").read("m/1")
    assert "Check the credentials in the environment" in refused.value.hint


def test_an_address_without_tls_must_be_allowed(enter):
    enter({**servers.s3_environment(servers.free_port()), "AWS_ALLOW_HTTP": "false"})
    with pytest.raises(RegistryError, match="builder error") as refused:
        open_store("s3://bucket").read("m/1")
    assert "AWS_ALLOW_HTTP=true" in refused.value.hint


def test_settings_that_make_no_client_are_refused_when_the_store_is_opened(enter):
    enter({"AWS_CONDITIONAL_PUT": "perhaps"})
    with pytest.raises(RegistryError, match="perhaps") as refused:
        open_store("s3://bucket")
    assert "Check the settings in the environment" in refused.value.hint


def test_a_forked_child_is_told_where_it_would_wait_for_ever(s3):
    same, new, parent = run_python(FORKED, s3)
    for told in (same, new):
        assert re.match(rf"{s3}/ can't be used here: this process was forked from one that had used", told)
        assert 'get_context("spawn")' in told
    assert "b'data'" == parent


def test_a_process_that_forks_before_it_uses_a_store_may_use_it_on_both_sides(s3):
    assert ["m/child m/parent"] == run_python(FORKED_BEFORE, s3)


def test_an_event_changed_in_the_bucket_is_found(s3):
    store = open_store(s3)
    publish_simple(ModelRegistry(store))
    key = "game-earnings/log/00000000000000000001.json"
    data = store.read(key)
    store.delete(key)
    store.create(key, data.replace(b"for a test", b"for a fest"))

    with pytest.raises(IntegrityError, match=f"{s3}/{key} was changed"):
        ModelRegistry(store).verify()
