"""The files of ``jobs/nightly/`` fit gamesales, and the programs that read them accept them.

``make schedulers`` installs these programs. Without one, its test is skipped.
"""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import typer
import yaml

from gamesales import __version__, errors
from gamesales.cli.app import make_app
from gamesales.errors import GamesalesError, TryAgainError
from gamesales.jobs.score import load_score_job
from support.servers import INSTALLED
from support.versions import ROOT

NIGHTLY = ROOT / "jobs/nightly"
CONTAINERFILES = ["Containerfile", "train.Containerfile"]
TRY_AGAIN = TryAgainError.exit_code
FINAL = sorted(
    {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GamesalesError)}
    - {TRY_AGAIN}
    | {errors.EXIT_CONDITION_NOT_MET, errors.EXIT_WITHHELD}
)
SERVICE = (NIGHTLY / "gamesales.service").read_text(encoding="utf-8")
CHECKOUT = "/srv/gamesales"


def find_program(name):
    """Return the path of a program of ``make schedulers`` or of this machine, or skip the test."""
    path = shutil.which(name, path=INSTALLED / "schedulers/bin") or shutil.which(name)
    return path or pytest.skip(f"needs {name}")


def run_program(name, *arguments, **options):
    done = subprocess.run(
        [find_program(name), *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def read_kubernetes():
    documents = yaml.safe_load_all((NIGHTLY / "kubernetes.yaml").read_text(encoding="utf-8"))
    return {document["kind"]: document for document in documents}


def read_kuberay():
    return yaml.safe_load((NIGHTLY / "kuberay.yaml").read_text(encoding="utf-8"))


def read_github():
    return yaml.safe_load((NIGHTLY / "github.yml").read_text(encoding="utf-8"))


def pod_template():
    return read_kubernetes()["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def list_commands():
    """Yield each command line of a schedule, as words after the name of the program."""
    yield "gamesales.service", shlex.split(re.search(r"(?m)^ExecStart=(.*)", SERVICE)[1])[1:]
    yield "kubernetes.yaml", pod_template()["containers"][0]["args"]
    yield "kuberay.yaml", shlex.split(read_kuberay()["spec"]["entrypoint"])[1:]
    tree = ast.parse((NIGHTLY / "airflow_dag.py").read_text(encoding="utf-8"))
    (words,) = [
        node.value.elts for node in ast.walk(tree) if isinstance(node, ast.Assign) and node.targets[0].id == "command"
    ]
    yield "airflow_dag.py", [word.value if isinstance(word, ast.Constant) else "2026-11-23" for word in words[1:]]
    for step in read_github()["jobs"]["score"]["steps"]:
        if match := re.fullmatch(r"jobs/nightly/score\.sh ?(.*)", step.get("run", "")):
            yield "github.yml", ["score", *shlex.split(match[1])]
    for name in CONTAINERFILES:
        text = (NIGHTLY / name).read_text(encoding="utf-8")
        yield name, json.loads(re.search(r"(?m)^CMD (.*)", text)[1])
        example = re.search(r"podman run .*?gamesales-\w+:\S+(?: \\\n#)? +(.*)", text, re.DOTALL)[1].splitlines()[0]
        yield f"example in {name}", shlex.split(example)


COMMANDS = dict(list_commands())


@pytest.mark.parametrize("source", COMMANDS)
def test_commands_are_valid(source):
    """gamesales accepts the command line of each schedule, and each image."""
    name, *arguments = COMMANDS[source]
    command = typer.main.get_command(make_app(name)).commands[name]
    assert command.make_context(name, list(arguments)).params


def test_every_file_is_tested():
    """A new file needs tests."""
    other = {"crontab", "gamesales.timer", "post_to_slack.py", "score.sh"}
    assert {path.name for path in NIGHTLY.iterdir() if path.is_file()} <= {*COMMANDS, *other}


@pytest.mark.parametrize(
    "name", ["gamesales.service", "kubernetes.yaml", "kuberay.yaml", "airflow_dag.py", "github.yml", "crontab"]
)
def test_no_secrets(name):
    """No file has a password or a key: a service reads them from another file, a secret or the environment."""
    text = (NIGHTLY / name).read_text(encoding="utf-8")
    assert [] == re.findall(r"(?i)(?:password|secret\w*|key\w*|token)\s*[:=]\s*['\"]?(?!\$\{\{)[\w/+]{8,}", text)


# Exit codes


def test_final_codes_of_kubernetes():
    """All exit codes but 7 end the job. Code 7 starts another pod."""
    job = read_kubernetes()["CronJob"]["spec"]["jobTemplate"]["spec"]
    (rule,) = [rule for rule in job["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert ("FailJob", "In", FINAL) == (rule["action"], rule["onExitCodes"]["operator"], rule["onExitCodes"]["values"])
    assert job["backoffLimit"] > 0
    assert "Never" == job["template"]["spec"]["restartPolicy"]


def test_code_7_restarts_the_service():
    """systemd restarts the service after exit code 7 only, and after a run that was killed."""
    settings = dict(re.findall(r"(?m)^(\w+)=(.*)", SERVICE))
    assert (str(TRY_AGAIN), "on-abnormal") == (settings["RestartForceExitStatus"], settings["Restart"])
    assert "SuccessExitStatus" not in settings, "codes 6 and 8 must be seen"


def test_code_7_retries_the_airflow_task():
    """Airflow retries after exit code 7 only."""
    text = (NIGHTLY / "airflow_dag.py").read_text(encoding="utf-8")
    assert f"EXIT_TRY_AGAIN = {TRY_AGAIN}\n" in text


class TestScoreScript:
    @pytest.fixture
    def attempt(self, tmp_path):
        """Run the script with a program that ends with one exit code after the other; return the code and the calls."""

        def run(*codes, pauses="0 0", arguments=()):
            (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
            program = tmp_path / "program"
            program.write_text(
                f'#!/bin/sh\ncd "{tmp_path}"\nfor word; do printf "%s|" "$word"; done >>calls\necho >>calls\n'
                "read code <codes\nsed -i 1d codes\nexit $code\n"
            )
            program.chmod(0o755)
            environment = {"PATH": "/usr/bin:/bin", "GAMESALES": str(program), "PAUSES": pauses}
            script = [NIGHTLY / "score.sh", *arguments]
            done = subprocess.run(script, env=environment, cwd="/", capture_output=True, text=True, check=False)
            return done.returncode, (tmp_path / "calls").read_text().splitlines()

        return run

    @pytest.mark.parametrize("code", [0, *FINAL, 143])
    def test_final_codes(self, attempt, code):
        """Any other exit code than 7 ends the script with this code."""
        assert (code, ["score|"]) == attempt(code)

    def test_retries_after_7(self, attempt):
        """Exit code 7 is tried again with the same arguments, until another code."""
        arguments = ("--output", "a b")
        assert (6, ["score|--output|a b|"] * 3) == attempt(7, 7, 6, arguments=arguments)

    def test_gives_up(self, attempt):
        """After the last pause, exit code 7 is final. Without pauses, there is one attempt."""
        assert (7, ["score|"] * 3) == attempt(7, 7, 7)
        assert 7 == attempt(7, pauses="")[0]

    def test_runs_the_checkout(self, tmp_path):
        """The program is the one of the checkout, from any current folder."""
        checkout = tmp_path / "a checkout"
        (checkout / "jobs/nightly").mkdir(parents=True)
        (checkout / ".venv/bin").mkdir(parents=True)
        shutil.copy(NIGHTLY / "score.sh", checkout / "jobs/nightly")
        (checkout / ".venv/bin/gamesales").write_text("#!/bin/sh\npwd\n")
        (checkout / ".venv/bin/gamesales").chmod(0o755)
        out = subprocess.run([checkout / "jobs/nightly/score.sh"], cwd="/", capture_output=True, text=True, check=True)
        assert f"{checkout}\n" == out.stdout

    def test_shellcheck(self):
        run_program("shellcheck", NIGHTLY / "score.sh")


# systemd and cron


@pytest.fixture
def units(tmp_path):
    """The units, for a checkout that exists."""
    program = tmp_path / "checkout/.venv/bin/gamesales"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    for name in ("gamesales.service", "gamesales.timer"):
        text = (NIGHTLY / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace(CHECKOUT, str(tmp_path / "checkout")), encoding="utf-8")
    return tmp_path


def test_systemd_verifies_units(units):
    """systemd has nothing to say about the units. Other units of the machine are not our subject."""
    said = run_program("systemd-analyze", "verify", "gamesales.timer", "gamesales.service", cwd=units)
    assert [] == [line for line in said.splitlines() if "gamesales" in line]


def test_systemd_rates_the_hardening(units):
    """systemd rates the exposure of the service as OK: at most 2.0 of 10."""
    run_program("systemd-analyze", "security", "--offline=true", "--threshold=20", "gamesales.service", cwd=units)


def test_timer_keeps_the_date(units):
    """The timer starts in the time zone of the job, and its delay does not reach the next date."""
    text = (units / "gamesales.timer").read_text(encoding="utf-8")
    calendar = re.search(r"(?m)^OnCalendar=(.*)", text)[1]
    assert load_score_job(ROOT / "jobs/score.toml").timezone == calendar.split()[-1]
    assert "02:00:00" == calendar.split()[1]
    assert f"Normalized form: {calendar}" in run_program("systemd-analyze", "calendar", calendar)


@pytest.mark.slow
def test_service_allows_every_system_call(simple_registry, tmp_path):
    """A run calls nothing that the unit's filter of system calls forbids."""
    find_program("strace")
    trace = tmp_path / "trace"
    score = ["score", ROOT / "data/new_titles.csv", "--output", tmp_path / "out", "--registry", tmp_path / "registry"]
    run_program("strace", "-f", "-qq", "-o", trace, sys.executable, "-m", "gamesales", *score, cwd=ROOT)
    called = set(re.findall(r"(?m)^\d+ +(?:<\.\.\. )?(\w+)[( ]", trace.read_text(encoding="utf-8", errors="replace")))
    assert set() == called - expand_filter(re.search(r"(?m)^SystemCallFilter=(.*)", SERVICE)[1]) - {"resumed"}


def expand_filter(name):
    """Return the system calls of a group, as systemd knows it."""
    groups, group = {}, []
    for line in run_program("systemd-analyze", "syscall-filter").splitlines():
        if line.startswith("@"):
            group = groups.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            group.append(line.strip())

    def expand(entry):
        return set().union(*map(expand, groups[entry])) if entry.startswith("@") else {entry}

    return expand(name) | expand("@default")


def test_cron_accepts_the_lines():
    run_program("crontab", "-n", NIGHTLY / "crontab")


@pytest.mark.parametrize(("code", "mail"), [(0, ""), (6, "gamesales score: exit code 6\nprogress\n")])
def test_line_of_cron(tmp_path, code, mail):
    """A good night prints nothing, so that cron sends no mail. A bad night prints its exit code and the log."""
    (tmp_path / "jobs/nightly").mkdir(parents=True)
    shutil.copy(NIGHTLY / "score.sh", tmp_path / "jobs/nightly")
    (tmp_path / "program").write_text(f"#!/bin/sh\necho progress\nexit {code}\n")
    (tmp_path / "program").chmod(0o755)
    (line,) = re.findall(r"(?m)^\d+ \d+ \* \* \*  (.*)", (NIGHTLY / "crontab").read_text(encoding="utf-8"))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "CHECKOUT": str(tmp_path), "GAMESALES": "./program"}
    done = subprocess.run(["/bin/sh", "-c", line], env=environment, capture_output=True, text=True, check=False)
    assert (mail, "") == (done.stdout, done.stderr)
    assert "progress\n" == (tmp_path / "gamesales.log").read_text(encoding="utf-8")


# Kubernetes, GitHub and Airflow


def test_kubernetes_accepts_the_objects():
    run_program("kubernetes-validate", "--strict", NIGHTLY / "kubernetes.yaml")


def test_kubernetes_job_is_a_job(tmp_path):
    """The job file in the config map is valid, and its time zone is the time zone of the schedule."""
    objects = read_kubernetes()
    (name,) = objects["ConfigMap"]["data"]
    (tmp_path / name).write_text(objects["ConfigMap"]["data"][name], encoding="utf-8")
    job = load_score_job(tmp_path / name)
    schedule = objects["CronJob"]["spec"]["timeZone"]
    assert ZoneInfo(job.timezone).utcoffset(None) == ZoneInfo(schedule).utcoffset(None)
    assert schedule.endswith(job.timezone)


def test_kubernetes_pod_is_confined():
    """The pod has no root, no writable root and no rights, and as many workers as CPUs."""
    template = pod_template()
    (container,) = template["containers"]
    security = container["securityContext"]
    assert (False, True) == (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"])
    assert (["ALL"], True) == (security["capabilities"]["drop"], template["securityContext"]["runAsNonRoot"])
    assert container["resources"]["limits"]["cpu"] == container["args"][container["args"].index("--workers") + 1]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in template["volumes"]}
    assert container["image"].endswith(f":{__version__}")
    user = re.search(r"(?m)^USER (\d+):", (NIGHTLY / "Containerfile").read_text(encoding="utf-8"))[1]
    assert int(user) == template["securityContext"]["runAsUser"]


def test_kuberay_job_fits_the_lock():
    """The cluster has the locked release of Ray, this release, and extras that exist."""
    text, job = (NIGHTLY / "kuberay.yaml").read_text(encoding="utf-8"), read_kuberay()
    assert ("ray.io/v1", "RayJob") == (job["apiVersion"], job["kind"])
    (locked,) = re.findall(r"(?m)^ray==(\S+)", (ROOT / "requirements/dev.lock").read_text(encoding="utf-8"))
    cluster = job["spec"]["rayClusterSpec"]
    assert [locked] * 2 == [cluster["rayVersion"], re.search(r"rayproject/ray:([\d.]+)", text)[1]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, release = re.search(r"gamesales\[([\w,]+)\]==([\w.]+)'", text).groups()
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert __version__ == release


def test_kuberay_pods():
    """All pods have the image of this release, requested CPUs and a place for parts; the head runs no shard."""
    cluster = read_kuberay()["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    assert "0" == cluster["headGroupSpec"]["rayStartParams"]["num-cpus"]
    assert workers["minReplicas"] == workers["replicas"] == workers["maxReplicas"] > 0
    for group in (cluster["headGroupSpec"], workers):
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        assert container["image"].endswith(f":{__version__}")
        assert {"cpu", "memory"} == container["resources"]["requests"].keys()
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    options = read_kuberay()["spec"]["entrypoint"].split()
    assert "ray" == options[options.index("--engine") + 1]


def test_github_accepts_the_workflow():
    run_program("check-jsonschema", "--builtin-schema", "vendor.github-workflows", NIGHTLY / "github.yml")


def test_github_installs_a_lock():
    """The files that the workflow names exist, and it may only read the repository."""
    text = (NIGHTLY / "github.yml").read_text(encoding="utf-8")
    names = re.findall(r"(?:requirements|jobs)/[\w./]+", re.sub(r"(?m)#.*", "", text))
    assert [] == [name for name in names if not (ROOT / name).exists()]
    assert {"contents": "read"} == read_github()["permissions"]


@pytest.mark.slow
def test_airflow_runs_the_dag(simple_registry, tmp_path):
    """Airflow imports the DAG and scores a date with it. After exit code 6, the task fails without a retry."""
    airflow = find_program("airflow")
    checkout, home = tmp_path / "checkout", tmp_path / "airflow"
    program = checkout / ".venv/bin/gamesales"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m gamesales "$@"\n')
    program.chmod(0o755)
    shutil.copytree(tmp_path / "registry", checkout / "registry")
    shutil.copytree(ROOT / "data", checkout / "data")
    (checkout / "jobs").mkdir()
    shutil.copy(ROOT / "jobs/score.toml", checkout / "jobs")
    (home / "dags").mkdir(parents=True)
    text = (NIGHTLY / "airflow_dag.py").read_text(encoding="utf-8")
    assert f'CHECKOUT = "{CHECKOUT}"' in text
    (home / "dags/airflow_dag.py").write_text(text.replace(CHECKOUT, str(checkout)), encoding="utf-8")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }

    def run(*words):
        return subprocess.run([airflow, *words], env=environment, capture_output=True, text=True, check=False)

    assert 0 == run("db", "migrate").returncode
    done = run("dags", "test", "gamesales", "2026-11-23T02:17:00+00:00")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert (checkout / "predictions/run_date=2026-11-23/_SUCCESS").exists()
    program.write_text("#!/bin/sh\nexit 6\n")
    done = run("dags", "test", "gamesales", "2026-11-24T02:17:00+00:00")
    assert 0 != done.returncode
    assert "gamesales score ended with exit code 6" in done.stdout + done.stderr


# Images


@pytest.mark.parametrize("name", CONTAINERFILES)
def test_hadolint_accepts_the_image(name):
    run_program("hadolint", NIGHTLY / name)


@pytest.mark.parametrize("name", CONTAINERFILES)
def test_image_copies_files_that_exist(name):
    """Each file that an image copies exists, is not ignored, and its lock has the build back end of the package."""
    text = (NIGHTLY / name).read_text(encoding="utf-8").replace("${LOCK}", "score")
    sources = [word for line in re.findall(r"(?m)^COPY (?!--from)(.*)", text) for word in line.split()[:-1]]
    allowed = re.findall(r"(?m)^!(.*)", (ROOT / ".dockerignore").read_text(encoding="utf-8"))
    assert {"LICENSE", "README.md", "gamesales", "pyproject.toml"} < set(sources)
    for source in sources:
        assert (ROOT / source).exists()
        assert any(fnmatch(source, pattern) or source.startswith(f"{pattern}/") for pattern in allowed)
    (lock,) = [source for source in sources if source.endswith(".lock")]
    assert re.search(r"(?m)^flit-core==", (ROOT / lock).read_text(encoding="utf-8"))


def test_scoring_image_has_no_tensorflow():
    """Every lock that the scoring image may have is free of training libraries."""
    for name in ("score", "cloud"):
        lock = (ROOT / f"requirements/{name}.lock").read_text(encoding="utf-8")
        assert [] == re.findall(r"(?m)^(?:tensorflow|keras|pandas|scikit-learn)\S*==", lock)


def test_images_have_a_supported_python():
    """The images have a Python that the package supports, and a user that is not root."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in CONTAINERFILES:
        text = (NIGHTLY / name).read_text(encoding="utf-8")
        (version,) = set(re.findall(r"(?m)^FROM python:([\d.]+)-slim", text))
        assert f"Programming Language :: Python :: {version}" in project["classifiers"]
        assert "0" not in re.search(r"(?m)^USER (\d+):(\d+)", text).groups()


def test_files_are_not_executable_by_accident():
    """Only the script is a program."""
    programs = [path.name for path in NIGHTLY.iterdir() if path.is_file() and path.stat().st_mode & 0o111]
    assert {"score.sh"} == set(programs)
    assert Path(NIGHTLY / "score.sh").read_text(encoding="utf-8").startswith("#!/bin/sh\n")
