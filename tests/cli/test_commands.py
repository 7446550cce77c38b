"""Every command on a small project: what it prints, its exit code, and one JSON document where one is asked for."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from parcels import day, write
from said import NOW, Command, refused

from incumbent.project import Project

# --- the five steps


def test_baseline_prints_what_must_be_beaten(command: Command, folder: Path) -> None:
    code, out, _ = command("baseline", "-p", folder)
    assert code == 0
    assert "rate by depot" in out and "prior of the training rows" in out


def test_baseline_as_json(command: Command, folder: Path) -> None:
    code, out, _ = command("baseline", "-p", folder, "--now", NOW, "--json")
    found = json.loads(out)
    assert code == 0 and {one["step"] for one in found} == {"baseline"}
    assert {one["at"] for one in found} == {"2024-02-10T00:00:00+00:00"}


def test_gate_train_ships(command: Command, folder: Path) -> None:
    """Exit 0: trained, gated, registered; promoted is it not."""
    command("baseline", "-p", folder)
    code, out, _ = command("gate", "--train", "-p", folder)
    assert code == 0
    assert out.startswith("SHIP: ") and "registered as v2" in out
    assert json.loads(command("status", "-p", folder, "--json")[1])["incumbent"] == "v1"


def test_gate_holds_with_exit_code_1(command: Command, folder: Path) -> None:
    command("baseline", "-p", folder)
    code, out, _ = command("gate", "--train", "--recipe", "train_useless", "-p", folder, "--json")
    found = json.loads(out)
    assert (code, found["verdict"], found["version"]) == (1, "hold", None)


def test_gate_without_enough_rows_exits_3(command: Command, tmp_path: Path) -> None:
    folder = write(tmp_path, "[gate]\nmin_rows = 5000\n")
    command("baseline", "-p", folder)
    code, out, _ = command("gate", "--train", "-p", folder)
    assert code == 3
    assert out.startswith("NOT ENOUGH DATA: ")


def test_gate_of_a_registered_version(command: Command, project: Project, folder: Path) -> None:
    project.fit("train_again", now=day(45))
    code, out, _ = command("gate", "v3", "-p", folder, "--json")
    found = json.loads(out)
    assert found["subject"] == "v3" and found["reference"] == "v2"
    assert code == {"ship": 0, "hold": 1, "not_enough_data": 3}[found["verdict"]]


@pytest.mark.parametrize("arguments", [[], ["v1", "--train"]])
def test_gate_wants_a_version_or_train(command: Command, folder: Path, arguments: list[str]) -> None:
    refused(command("gate", *arguments, "-p", folder), 2, "name a version, or say --train")


def test_gate_without_an_incumbent_says_what_to_do(command: Command, folder: Path) -> None:
    refused(command("gate", "--train", "--no-baseline", "-p", folder), 4, "run `incumbent baseline` first")


def test_a_trial_from_start_to_stop(command: Command, project: Project, folder: Path) -> None:
    project.fit("train_again", now=day(45))
    code, out, _ = command("live", "start", "v3", "-p", folder, "--reason", "to see")
    assert code == 0 and "v3 against v2, shadow, 100% of the units enrolled" in out
    code, out, _ = command("live", "look", "-p", folder)
    assert code == 0 and out.startswith("CONTINUE: ") and "Test group (challenger)" in out
    assert json.loads(command("live", "look", "-p", folder, "--json")[1])["verdict"] == "continue"
    assert "trial" in command("status", "-p", folder)[1]
    refused(command("live", "stop", "-p", folder), 2, "--reason")
    assert command("live", "stop", "-p", folder, "--reason", "seen")[0] == 0
    refused(command("live", "look", "-p", folder), 2, "no trial runs")


@pytest.mark.parametrize("options", [["--mode", "dark"], ["--mode", "split", "--enrolled", "7"]])
def test_a_trial_with_wrong_options_is_refused(
    command: Command, project: Project, folder: Path, options: list[str]
) -> None:
    project.fit("train_again", now=day(45))
    refused(command("live", "start", "v3", "-p", folder, "-r", "a test", *options), 2)
    assert project.roles().trial is None


def test_speed_of_the_incumbent(command: Command, project: Project, folder: Path) -> None:
    """Without a budget nothing is inside it: exit 1. Inside a budget of ten seconds: exit 0."""
    code, out, _ = command("speed", "-p", folder)
    assert code == 1 and "no budget is declared" in out
    with (folder / "incumbent.toml").open("a") as file:
        file.write("[plan]\nlatency_budget_ms = 10000\n")
    code, out, _ = command("speed", "-p", folder, "--json")
    (found,) = json.loads(out)["evidence"]
    assert code == 0 and found["subject"] == "v2" and found["measured"]["p99_ms"] > 0
    assert "p99" in command("speed", "v1", "-p", folder)[1]


def test_a_tick_does_what_is_due_once(command: Command, project: Project, folder: Path) -> None:
    code, out, _ = command("upkeep", "tick", "-p", folder, "--now", "2024-02-20T00:00:00+00:00", "--json")
    (found,) = json.loads(out)
    assert (code, found["action"], found["subject"]) == (0, "Promoted", "v3")
    code, out, _ = command("upkeep", "tick", "-p", folder, "--now", "2024-02-20T00:00:00+00:00")
    assert (code, out) == (0, "nothing is due\n")


def test_a_tick_on_the_time_of_the_log(project: Project, folder: Path, command: Command) -> None:
    """`--clock replay`: now is the latest logged prediction, not today; --now would be another one."""
    project.live.start("v1", reason="a test", now=day(50))
    code, out, _ = command("upkeep", "tick", "-p", folder, "--clock", "replay", "--json")
    assert code == 0 and json.loads(out)
    looks = [event for event in project.facts.ledger.events() if event.data.get("step") == "live"]
    assert {event.at for event in looks} == {project.facts.log.totals().last_at}
    for more in (["--clock", "replay"], ["--forever"]):
        code, _, said = command("upkeep", "tick", "-p", folder, "--now", "2024-02-20T00:00:00+00:00", *more)
        assert code == 2 and "expected it without --forever" in said


def test_reviews_are_listed(command: Command, project: Project, folder: Path) -> None:
    project.upkeep.tick(now=day(50))
    code, out, _ = command("upkeep", "reviews", "-p", folder, "--json", "-n", "5")
    found = json.loads(out)
    assert code == 0 and len(found) == 5
    assert all(0 < one["propensity"] <= 1 for one in found)
    assert "drawn with chance" in command("upkeep", "reviews", "-p", folder)[1]


def test_why_lists_its_checks(command: Command, project: Project, folder: Path) -> None:
    now = ["--now", "2024-02-21T00:00:00+00:00"]
    code, out, _ = command("why", "-p", folder, "--days", "5", "--json", *now)
    assert code == 0 and json.loads(out)["evidence"]
    assert "Checks, cheapest first" in command("why", "-p", folder, "--days", "5", *now)[1]


def test_why_without_rows_exits_3(command: Command, project: Project, folder: Path) -> None:
    refused(command("why", "-p", folder, "--now", NOW), 3, "labelled rows")


# --- who answers


def test_status_of_a_new_project(command: Command, folder: Path) -> None:
    code, out, _ = command("status", "-p", folder)
    assert code == 0 and "nobody yet: run `incumbent baseline`" in out
    found = json.loads(command("status", "-p", folder, "--json")[1])
    assert (found["incumbent"], found["versions"], found["predictions"]) == (None, [], 0)


def test_status_of_one_that_runs(command: Command, project: Project, folder: Path) -> None:
    found = json.loads(command("status", "-p", folder, "--json")[1])
    assert (found["incumbent"], found["previous"], found["baseline"]) == ("v2", "v1", "v1")
    assert found["predictions"] == 480 and found["pending_outcomes"] == 0
    assert "480" in command("status", "-p", folder)[1]


def test_the_ledger_as_sentences(command: Command, project: Project, folder: Path) -> None:
    code, out, err = command("log", "-p", folder, "--verify", "--last", "0")
    assert code == 0 and "v2 was promoted in place of v1: it ships" in out
    assert f"the chain of {project.facts.ledger.sequence()} events is whole" in err
    found = json.loads(command("log", "-p", folder, "--json", "-n", "2")[1])
    assert [one["type"] for one in found] == ["VersionRegistered", "Promoted"]


def test_log_verify_names_a_forged_event(command: Command, project: Project, folder: Path) -> None:
    """Somebody rewrites a reason in the store: the chain of hashes tells."""
    project.close()
    with sqlite3.connect(folder / ".incumbent" / "ledger.db") as forged:
        for (trigger,) in forged.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            forged.execute(f"DROP TRIGGER {trigger}")
        changed = forged.execute("UPDATE event SET reason = 'it never did' WHERE reason = 'it ships'")
        assert changed.rowcount == 1
    forged.close()
    refused(command("log", "-p", folder, "--verify"), 4, "StoreDamaged")


def test_promote_and_roll_back(command: Command, project: Project, folder: Path) -> None:
    code, out, _ = command("rollback", "-p", folder, "--reason", "it smells")
    assert code == 0 and "it smells" in out
    code, out, _ = command("promote", "v2", "-p", folder, "--reason", "it did not")
    assert code == 0 and "v2 was promoted" in out
    assert project.roles().incumbent == "v2"


def test_a_move_without_a_reason_is_a_usage_error(command: Command, project: Project, folder: Path) -> None:
    refused(command("promote", "v1", "-p", folder), 2, "--reason")
    refused(command("rollback", "-p", folder), 2, "--reason")
    refused(command("rollback", "-p", folder, "--reason", ""), 2, "reason")
    assert project.roles().incumbent == "v2"


def test_an_unknown_version_is_refused(command: Command, project: Project, folder: Path) -> None:
    refused(command("promote", "v9", "-p", folder, "-r", "a test"), 4, "v9", "v1")


# --- the onset


def test_register_trains_and_registers(command: Command, folder: Path) -> None:
    code, out, _ = command("register", "-p", folder, "--json", "--description", "the first")
    found = json.loads(out)
    assert (code, found["version"], found["serves"]) == (0, "v1", "twin.linear.json")
    code, out, _ = command("register", "-p", folder)
    assert code == 0 and out.startswith("registered v2: sklearn") and "weight, depot, serial" in out


def test_doctor_upgrades_an_older_store(command: Command, project: Project, folder: Path) -> None:
    """And says where the copy is; a second time there is nothing to do."""
    assert "nothing to upgrade" in command("doctor", "-p", folder, "--upgrade")[1]
    project.close()
    path = project.config.store_path / "log.db"
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(
            """DROP TABLE trial_sum; DROP TABLE trial_unit; DROP TABLE pair_sum; DROP TABLE pair_block;
                    DROP TABLE response; DROP TABLE adjudication; DROP TABLE tally; DROP TABLE archive;
                DROP TABLE log_version; PRAGMA user_version = 1;
                ALTER TABLE prediction DROP COLUMN archived;
            CREATE INDEX prediction_served ON prediction (served_by, fallback_reason);"""
        )
    code, _, said = command("doctor", "-p", folder)
    assert code == 4 and "doctor --upgrade" in said
    code, out, said = command("doctor", "-p", folder, "--upgrade", "--json")
    assert code == 1 and json.loads(out)
    assert "log.revision-0001.db" in said.replace("\n", "")


# --- what is wrong


def test_a_folder_without_a_project_is_said(command: Command, tmp_path: Path) -> None:
    refused(command("status", "-p", tmp_path), 2, "Run `incumbent init` there")


def test_an_unknown_setting_names_the_nearest(command: Command, folder: Path) -> None:
    with (folder / "incumbent.toml").open("a") as file:
        file.write("[gate]\nalhpa = 0.1\n")
    refused(command("baseline", "-p", folder), 2, "UnknownKey", "did you mean 'alpha'?")


def test_a_wrong_time_is_said(command: Command, folder: Path) -> None:
    refused(command("baseline", "-p", folder, "--now", "yesterday"), 2, "'yesterday'", "ISO 8601")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["status", "--nonsense"], ["gate", "a", "b", "c"], ["log", "-n", "x"]]
)
def test_wrong_usage_exits_2(command: Command, arguments: list[str]) -> None:
    refused(command(*arguments), 2, "--help")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("def load(since, until):\n    return 1 / 0\n", ("load() failed", "ZeroDivisionError", "task.py, line 2")),
        ("def load(:\n", ("task.py", "SyntaxError")),
        ("raise RuntimeError('no database')\n", ("task.py", "no database")),
        ("def load():\n    return None\n", ("load()",)),
        ("import a_package_that_nobody_has\n", ("a_package_that_nobody_has",)),
    ],
)
def test_a_mistake_in_the_code_file_is_the_users(
    command: Command, folder: Path, broken: str, words: tuple[str, ...]
) -> None:
    """The file, the line and the error in one paragraph; we do not take the blame for it."""
    (folder / "task.py").write_text(broken)
    code, out, err = command("baseline", "-p", folder)
    refused((code if code != 2 else 4, out, err), 4, *words)
    assert "mistake of ours" not in err


def test_a_version_number_is_printed(command: Command) -> None:
    code, out, _ = command("--version")
    assert code == 0 and out.startswith("incumbent ")


@pytest.mark.parametrize(
    "name",
    ["try", "init", "register", "baseline", "gate", "live", "why", "speed", "upkeep", "serve", "status", "log",
     "promote", "rollback", "rehearse", "doctor", "demo", "expect"],
)  # fmt: skip
def test_every_command_explains_itself(command: Command, name: str) -> None:
    code, out, _ = command(name, "--help")
    assert code == 0 and "Usage: incumbent" in out
