"""The examples for CI services are run as far as that goes without the services: their shell steps, in fresh clones.

A bare repository stands for the host. `pip` is left out, actions of other people (`uses:`) too; everything else that
the files say is done.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
STORE = "refs/heads/incumbent-store"
FILES = {"summary.md", "junit.xml", "gate.json", "metrics.txt", "gate.env", "report.html", "picture.svg", "picture.png"}
WORSE = "\n\ndef train(rows):\n    return train_boosted(rows)\n"  # three years of days are too few for trees

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(shutil.which, ("git", "bash", "make"))), reason="the steps need git, bash and make"),
]


@dataclass
class Host:
    """A bare repository, and what every job finds on its machine."""

    folder: Path
    clones: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> Path:
        return self.folder / "origin.git"

    def clone(self) -> Path:
        """A fresh checkout of main, as a job begins with."""
        self.clones += 1
        path = self.folder / f"clone-{self.clones}"
        self.run("git", "clone", "--quiet", str(self.origin), str(path))
        return path

    def run(self, *command: str, cwd: Path | None = None, more: Mapping[str, str] | None = None) -> str:
        done = self.attempt(*command, cwd=cwd, more=more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def attempt(
        self, *command: str, cwd: Path | None = None, more: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        environment = {**self.environment, **(more or {})}
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd or self.folder, env=environment)

    def store(self) -> str:
        """The commit of the store's branch; empty where there is none."""
        return self.run("git", "ls-remote", str(self.origin), STORE).partition("\t")[0]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """The seattle example as somebody's repository, with the files for CI copied as they say."""
    tools = tmp_path / "bin"
    tools.mkdir()
    calls = {"incumbent": f'exec "{sys.executable}" -m incumbent "$@"', "pip": "exit 0"}
    for name, call in calls.items():
        (tools / name).write_text(f"#!/bin/sh\n{call}\n")
        (tools / name).chmod(0o755)
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    found = Host(tmp_path)
    found.environment = {**kept, **git, "PATH": path, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    found.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(found.origin))
    first = found.clone()
    for name in ("incumbent.toml", "task.py"):
        shutil.copy(ROOT / "examples" / "seattle" / name, first)
    shutil.copy(CI / "Makefile", first)
    (first / "ci").mkdir()
    shutil.copy(CI / "store.sh", first / "ci")
    (first / ".gitignore").write_text(".incumbent\nincumbent-gate\n__pycache__\n")
    (first / "requirements.txt").write_text("incumbent[all]\nvega_datasets\n")
    push(found, first)
    return found


def push(host: Host, clone: Path) -> None:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@localhost")
    host.run("git", "add", "--all", cwd=clone)
    host.run("git", *who, "commit", "--quiet", "--message", "a change", cwd=clone)
    host.run("git", "push", "--quiet", "origin", "HEAD:main", cwd=clone)


def incumbent(host: Host) -> dict[str, Any]:
    """What the store's branch says, as the next job sees it."""
    clone = host.clone()
    host.run("sh", "ci/store.sh", "fetch", cwd=clone)
    found: dict[str, Any] = json.loads(host.run("incumbent", "status", "--json", cwd=clone))
    return found


def outputs(clone: Path, verdict: str) -> None:
    """Every output is there, can be read, and says the verdict."""
    gate = clone / "incumbent-gate"
    assert {path.name for path in gate.iterdir()} == FILES
    assert json.loads((gate / "gate.json").read_text())["verdict"] == verdict
    failures = list(Xml.parse(gate / "junit.xml").iter("failure"))
    assert bool(failures) == (verdict == "hold")
    families = {one.name: one for one in text_string_to_metric_families((gate / "metrics.txt").read_text())}
    states = {one.labels["incumbent_gate_verdict"]: one.value for one in families["incumbent_gate_verdict"].samples}
    assert [word for word, value in states.items() if value] == [verdict]


# --- each service: (host, clone, which job) -> exit code


def github(host: Host, clone: Path, name: str) -> int:
    """The `run:` steps of a job, in a shell each, with the files that the runner gives and the conditions it knows."""
    job = yaml.safe_load((CI / "github.yml").read_text())["jobs"][name]
    files = {key: host.folder / f"{key}-{host.clones}" for key in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    more = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(clone), "GITHUB_SHA": "abc1234",
            **{key: str(path) for key, path in files.items()}}  # fmt: skip
    for path in files.values():
        path.touch()
    code, said = 0, {}
    for step in job["steps"]:
        if "run" not in step or not _wanted(step.get("if"), code, said):
            continue
        given = {key: _filled(str(value), said) for key, value in step.get("env", {}).items()}
        done = host.attempt("bash", "-e", "-c", step["run"], cwd=clone, more={**more, **given})
        code = code or done.returncode
        said = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    assert "### " in files["GITHUB_STEP_SUMMARY"].read_text()
    assert f"verdict={said['verdict']}" in files["GITHUB_OUTPUT"].read_text()
    return code


def _wanted(condition: str | None, code: int, said: Mapping[str, str]) -> bool:
    if condition is None:
        return code == 0
    if condition == "always()":
        return True
    (output, value) = re.fullmatch(r"steps\.gate\.outputs\.(\w+) == '(\w+)'", condition).groups()  # type: ignore[union-attr]
    return code == 0 and said.get(output) == value


def _filled(text: str, said: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ steps\.gate\.outputs\.(\w+) \}\}", lambda found: said[found.group(1)], text)


def gitlab(host: Host, clone: Path, name: str) -> int:
    """`before_script` and `script` of a job in one shell, as its runner does; then its reports are there."""
    jobs = yaml.safe_load((CI / "gitlab-ci.yml").read_text())
    job = {**jobs[jobs[name]["extends"]], **jobs[name]}
    more = {"CI": "true", "GITLAB_CI": "true", "CI_PROJECT_DIR": str(clone), "CI_COMMIT_SHA": "abc1234"}
    if "variables" in job:
        assert "$CI_JOB_TOKEN@" in job["variables"]["STORE_REMOTE"]
        more["STORE_REMOTE"] = str(host.origin)
    script = "\n".join([*job["before_script"], *job["script"]])
    code = host.attempt("bash", "-e", "-o", "pipefail", "-c", script, cwd=clone, more=more).returncode
    (folder,) = job["artifacts"]["paths"]
    for path in job["artifacts"]["reports"].values():
        assert path.startswith(folder) and (clone / path).stat().st_size
    return code


def make(host: Host, clone: Path, name: str) -> int:
    return host.attempt("make", name, cwd=clone).returncode


SERVICES = [github, gitlab, make]


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: one.__name__)
def test_main_promotes_what_ships_and_a_worse_pull_request_is_held(service: Any, host: Host) -> None:
    """The first push finds no store: baseline, gate, promotion, and the store is on its branch. Then somebody asks for
    boosted trees: the gate compares them with what was promoted, holds, and nothing of it reaches the branch."""
    first = host.clone()
    assert service(host, first, "promote") == 0
    outputs(first, "ship")
    assert "baseline came first" in (first / "incumbent-gate" / "summary.md").read_text()
    assert (incumbent(host)["incumbent"], incumbent(host)["previous"]) == ("v2", "v1")

    saved, second = host.store(), host.clone()
    with (second / "task.py").open("a") as file:
        file.write(WORSE)
    assert service(host, second, "gate") != 0
    outputs(second, "hold")
    assert json.loads((second / "incumbent-gate" / "gate.json").read_text())["reference"] == "v2"
    assert host.store() == saved


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: one.__name__)
def test_what_main_holds_is_on_the_ledger_and_promotes_nothing(service: Any, host: Host) -> None:
    """The job fails, and the store is saved all the same."""
    clone = host.clone()
    with (clone / "task.py").open("a") as file:
        file.write(WORSE)
    assert service(host, clone, "promote") != 0
    outputs(clone, "hold")
    found = incumbent(host)
    assert found["incumbent"] == "v1" and [one["version"] for one in found["versions"]][-1] == "v1"
    assert found["ledger_events"] > 2


def test_jobs_run_where_the_model_changed() -> None:
    """On other pushes the recipe would meet itself, gain nothing, and be held."""
    triggers = yaml.safe_load((CI / "github.yml").read_text())[True]  # YAML 1.1 reads `on` as true
    jobs = yaml.safe_load((CI / "gitlab-ci.yml").read_text())
    found = [triggers["pull_request"]["paths"], triggers["push"]["paths"]]
    found += [rule["changes"] for name in ("gate", "promote") for rule in jobs[name]["rules"]]
    assert found == [["incumbent.toml", "task.py", "requirements.txt"]] * 4


def test_only_the_job_on_main_may_write() -> None:
    """A pull request of a fork has a read-only token, and needs no other."""
    workflow = yaml.safe_load((CI / "github.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["gate"]
    assert workflow["jobs"]["promote"]["permissions"] == {"contents": "write"}
    saving = [step for step in workflow["jobs"]["gate"]["steps"] if "save" in step.get("run", "")]
    assert saving == []


# --- the store on its branch


def store(host: Host, clone: Path, verb: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return host.attempt("sh", "ci/store.sh", verb, cwd=clone, more=more)


def test_a_store_that_is_no_copy_is_left_alone(host: Host) -> None:
    """Somebody's own store is neither replaced nor saved."""
    clone = host.clone()
    (clone / ".incumbent").mkdir()
    (clone / ".incumbent" / "ledger.db").write_text("mine")
    assert store(host, clone, "fetch").returncode == 1
    assert store(host, clone, "save").returncode == 1
    assert (clone / ".incumbent" / "ledger.db").read_text() == "mine" and host.store() == ""


def test_a_host_that_does_not_answer_is_no_empty_store(host: Host) -> None:
    """Else the candidate would be compared with a naive rule, because the network was down."""
    clone = host.clone()
    done = store(host, clone, "fetch", STORE_REMOTE=str(host.folder / "nowhere.git"))
    assert done.returncode == 1 and "could not be asked for" in done.stderr
    assert not (clone / ".incumbent").exists()


def test_two_writers_do_not_overwrite_each_other(host: Host) -> None:
    """The second to save is refused, and its folder stays a copy to look at."""
    clones = [host.clone(), host.clone()]
    for number, clone in enumerate(clones):
        assert store(host, clone, "fetch").returncode == 0
        (clone / ".incumbent" / "ledger.db").write_text(f"of writer {number}")
    assert store(host, clones[0], "save").returncode == 0
    saved = host.store()
    assert store(host, clones[1], "save").returncode != 0
    assert host.store() == saved


def test_what_was_saved_comes_back_and_what_was_removed_does_not(host: Host) -> None:
    """Files that .gitignore names too, and each state of the store is a commit on the one before."""
    clone = host.clone()
    store(host, clone, "fetch")
    (clone / ".incumbent" / "blobs").mkdir()
    (clone / ".incumbent" / "blobs" / "a").write_bytes(b"\x00\xff")
    (clone / ".incumbent" / "ledger.db").write_text("one")
    assert store(host, clone, "save").returncode == 0
    (clone / ".incumbent" / "ledger.db").unlink()
    assert store(host, clone, "save").returncode == 0
    other = host.clone()
    assert store(host, other, "fetch").returncode == 0
    found = {path.relative_to(other / ".incumbent").as_posix() for path in (other / ".incumbent").rglob("*")}
    assert found == {".copy", "blobs", "blobs/a"}
    assert (other / ".incumbent" / "blobs" / "a").read_bytes() == b"\x00\xff"
    assert host.run("git", "rev-list", "--count", STORE, cwd=host.origin).strip() == "2"
