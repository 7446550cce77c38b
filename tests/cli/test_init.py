"""`incumbent init`: the plan as a person answers it, what a machine understands of it, and nothing overwritten."""

import os
import pty
import select
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from said import Command, refused

from incumbent import config
from incumbent.cli.plan import QUESTIONS, cadence, understand
from incumbent.config import Config, Plan
from incumbent.errors import ConfigError
from incumbent.project import open_project
from incumbent.stats import metrics
from incumbent.steps.upkeep.retrain import period

TASK = ("--name", "parcels", "--kind", "binary", "--target", "late")
FULL = (
    "--beat", "luck", "--ship-when", "better by 0.005 on held-out weeks", "--fall-back-on", "the rule",
    "--budget-ms", "20 ms", "--retrain", "every 2 weeks", "--reviewers", "the desk, Ms Okafor", "--goal", "0.12",
)  # fmt: skip


def made(command: Command, home: Path, *options: str) -> Config:
    code, _, told = command("init", home, *TASK, *options)
    assert code == 0, told
    return config.load(home)


# --- by options


def test_every_question_of_the_plan_is_asked() -> None:
    """What config.Plan holds and what init asks for are the same, in the same order."""
    assert [question.key for question in QUESTIONS] == [field.name for field, _ in Plan().answers()]


def test_answers_become_the_plan_and_what_follows_from_it(command: Command, tmp_path: Path) -> None:
    """A cadence, a margin of the gate, a budget and a goal are numbers and settings; the rest stays as it was said."""
    found = made(command, tmp_path / "new", *FULL)
    assert found.plan == Plan(
        "luck", "better by 0.005 on held-out weeks", "the rule", 20.0, "every 2 weeks", ("the desk", "Ms Okafor"), 0.12
    )
    assert (found.retrain.every, found.gate.better_by) == ("2 weeks", 0.005)
    assert period(found.retrain.every) == (2, "week")


def test_what_is_left_open_is_said_and_written_as_a_comment(command: Command, tmp_path: Path) -> None:
    home = tmp_path / "new"
    code, out, _ = command("init", home, *TASK, "--beat", "luck")
    assert code == 0
    assert "left open in [plan], and red until answered: ship_when, fall_back_on" in out
    text = (home / "incumbent.toml").read_text()
    assert '# ship_when = "..."' in text and "# goal = 0.15" in text and "# beat" not in text
    with open_project(home) as project:
        assert project.config.plan == Plan(beat="luck") and project.config.task.metric == "brier"
        assert project.code is not None and project.code.has("train")


def test_comments_are_answers_in_waiting(command: Command, tmp_path: Path) -> None:
    """Without its `# ` each comment is a setting that parses."""
    home = tmp_path / "new"
    command("init", home, *TASK)
    text = (home / "incumbent.toml").read_text().replace("\n# ", "\n")
    assert all(answer for _, answer in config.parse(text).plan.answers())


def test_nothing_is_overwritten(command: Command, tmp_path: Path) -> None:
    """A project is refused, a code file of one's own stays."""
    home = tmp_path / "new"
    home.mkdir()
    (home / "task.py").write_text("MINE = 1\n")
    code, out, _ = command("init", home, *TASK)
    assert code == 0 and "stays as it is" in out
    assert (home / "task.py").read_text() == "MINE = 1\n"
    before = (home / "incumbent.toml").read_text()
    refused(command("init", home, *TASK), 2, "is there already")
    assert (home / "incumbent.toml").read_text() == before


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--name", "a", "--kind", "ranking", "--target", "b"), "expected one of"),
        (("--name", "a", "--kind", "regression", "--target", "b", "--metric", "brier"), "brier"),
        (("--kind", "binary", "--target", "b"), "found no --name"),
        ((*TASK, "--budget-ms", "fast"), "expected a number above 0"),
        ((*TASK, "--budget-ms", "0"), "expected a number above 0"),
        ((*TASK, "--goal", "3"), "lies between 0 and 1"),
        ((*TASK, "--goal", "nan"), "expected a number"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    command: Command, tmp_path: Path, options: tuple[str, ...], word: str
) -> None:
    home = tmp_path / "new"
    refused(command("init", home, *options), 2, word)
    assert not home.exists()


# --- what a machine understands


@pytest.mark.parametrize(
    ("said", "every"),
    [("1 month", "1 month"), ("Every 7 days.", "7 days"), ("every week", "1 week"), ("monthly", "1 month"),
     ("when drift shows", ""), ("0 days", ""), ("", ""), ("every month, on all flights", "")],
)  # fmt: skip
def test_a_cadence(said: str, every: str) -> None:
    assert cadence(said) == every


@given(st.integers(1, 999), st.sampled_from(["day", "week", "month"]), st.sampled_from(["", "s"]))
def test_each_cadence_is_one_that_the_ticker_takes(count: int, unit: str, plural: str) -> None:
    assert period(cadence(f"every {count} {unit}{plural}")) == (count, unit)


def test_no_worse_is_a_margin_of_the_gate() -> None:
    assert understand({"ship_when": "No worse than 0.01, and half as slow"}).sections["gate"] == {"no_worse_than": 0.01}
    with pytest.raises(ConfigError, match="ship_when"):
        understand({"ship_when": "better by -1"})


def test_an_answer_without_a_cadence_says_so() -> None:
    (said,) = understand({"retrain": "when drift shows"}).said
    assert "set retrain.every" in said


def test_a_goal_is_one_that_the_metric_can_take() -> None:
    """Losses without an end, shares up to 1."""
    assert understand({"goal": "250"}, metrics.get("rmse", "regression")).sections["plan"] == {"goal": 250.0}
    with pytest.raises(ConfigError, match="roc_auc lies between 0 and 1"):
        understand({"goal": "90"}, metrics.get("roc_auc", "binary"))


# --- at a terminal


class Terminal:
    """A person at a real terminal: waits for words, types lines."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "incumbent", *arguments])
        self.shown = ""
        self.seen = 0

    def wait(self, words: str, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while words not in self.shown[self.seen :]:
            ready, _, _ = select.select([self.end], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"waited for {words!r}, and the terminal shows:\n{self.shown[self.seen :]}"
            self.shown += os.read(self.end, 65_536).decode()
        self.seen = self.shown.index(words, self.seen) + len(words)

    def type(self, line: str) -> None:
        os.write(self.end, f"{line}\n".encode())

    def close(self) -> int:
        while True:
            try:
                if not os.read(self.end, 65_536):
                    break
            except OSError:  # the other end is closed: Linux says it so
                break
        os.close(self.end)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_person_is_asked_and_may_leave_open(tmp_path: Path, monkeypatch: Any) -> None:
    """Wrong answers are asked for again; `=` takes what is suggested, Enter leaves a question open."""
    monkeypatch.setenv("TERM", "dumb")
    home = tmp_path / "new"
    terminal = Terminal("init", str(home), "--beat", "luck")
    for words, line in [
        ("Name of the task", "parcels"),
        ("Kind", "ranking"),
        ("expected one of", ""),
        ("Kind", "binary"),
        ("truth", "late"),
        ("Metric", ""),
        ("time of the request", "asked"),
        ("production?", ""),  # --beat was said: its question is not asked
        ("model breaks?", "="),
        ("in ms?", "fast"),
        ("expected a number above 0", "20"),
        ("retrained?", "1 month"),
        ("doubtful", ""),
        ("hoped for?", "0.12"),
    ]:
        terminal.wait(words)
        if words != "expected one of":
            terminal.type(line)
    terminal.wait("red until answered: ship_when, reviewers")
    assert terminal.close() == 0
    found = config.load(home)
    assert found.plan.fall_back_on == "the version before it, then the best naive rule"
    assert (found.plan.beat, found.plan.ship_when, found.plan.latency_budget_ms) == ("luck", "", 20.0)
    assert (found.task.time, found.retrain.every, found.plan.goal) == ("asked", "1 month", 0.12)


def test_yes_asks_nothing_at_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal("init", str(tmp_path / "new"), "--yes", *TASK)
    terminal.wait("left open in [plan]")
    assert terminal.close() == 0
