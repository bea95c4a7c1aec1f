"""The wheel works in a clean environment with the lock of a scoring host, and its extras add what they promise."""

import csv
import re
import shlex
import subprocess
import sys
import tomllib
import venv
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.versions import DATA, ROOT

PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*words, **options):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as ``make wheel`` does."""
    folder = tmp_path_factory.mktemp("dist")
    options = ["-qq", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    run(sys.executable, *PIP, "wheel", *options, ROOT)
    (path,) = folder.iterdir()
    return path


@pytest.mark.slow
def test_wheel_has_the_package(wheel):
    """The wheel has every file of the package, and no other module."""
    names = {line.split()[0] for line in run(sys.executable, "-m", "zipfile", "-l", wheel).splitlines()[1:]}
    sources = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "gamesales", cwd=ROOT).splitlines()
    assert {name for name in names if ".dist-info/" not in name} == set(sources)


@pytest.fixture(scope="module")
def host(wheel, tmp_path_factory):
    """A clean environment with the lock of a scoring host and the wheel."""
    folder = tmp_path_factory.mktemp("host")
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin/python"
    run(python, *PIP, "install", "-qq", "--no-deps", "--require-hashes", "-r", ROOT / "requirements/score.lock")
    run(python, *PIP, "install", "-qq", "--no-deps", wheel)
    assert "No broken requirements found.\n" == run(python, *PIP, "check")
    return folder


@pytest.mark.slow
def test_scoring_host(host, simple_registry, tmp_path):
    """A scoring host scores a file. The hint about a library that it lacks is a command that works there."""
    program = host / "bin/gamesales"
    assert f"gamesales {PROJECT['version']}\n" == run(program, "--version", cwd=tmp_path)
    run(program, "score", DATA / "new_titles.csv", "--output", "out.csv", "--registry", "registry", cwd=tmp_path)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert 36 == len(list(csv.DictReader(file)))
    done = subprocess.run([program, "versions", "--registry", "memory:"], capture_output=True, text=True, check=False)
    command = shlex.split(re.search(r"Install it: (.*)", done.stderr)[1])
    planned = run(*command, "--dry-run")
    assert re.search(r"(?m)^Would install obstore-[\d.]+$", planned), "nothing else, and not gamesales"


@pytest.mark.slow
@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_extra_adds_its_libraries(host, extra):
    """Each extra of the installed wheel adds all libraries that it names, and does not look for gamesales."""
    planned = run(host / "bin/python", *PIP, "install", "--dry-run", f"gamesales[{extra}]")
    added = re.findall(r" ([\w.-]+?)-\d", re.search(r"(?m)^Would install.*", planned)[0])
    names = set(map(canonicalize_name, added))
    required = map(Requirement, PROJECT["optional-dependencies"][extra])
    assert {canonicalize_name(item.name) for item in required if item.marker is None or item.marker.evaluate()} <= names
    assert "gamesales" not in names


@pytest.mark.slow
def test_extras_of_the_wheel(wheel):
    """The wheel names all extras, and the guide explains each."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    extras = set(re.findall(r"(?m)^Provides-Extra: (\w+)", metadata))
    assert extras == set(PROJECT["optional-dependencies"])
    page = (ROOT / "docs/guides/scoring-host.md").read_text(encoding="utf-8")
    assert extras == set(re.findall(r"(?m)^\| `(\w+)` \|", page))
