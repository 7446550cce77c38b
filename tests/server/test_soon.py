"""From outcomes to a verdict, and from a verdict to the routes: one look and one poll, over real HTTP."""

import time
from collections.abc import Callable
from typing import Any

import incumbent
from incumbent.loop import fold
from incumbent.project.ticking import Ticker
from incumbent.records import DAY

WAIT_S = 60.0
AT = 100 * DAY
ROWS, BATCH = 600, 200


def until(found: Callable[[], bool]) -> None:
    limit = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < limit, f"not within {WAIT_S:g} s"
        time.sleep(0.005)


class Polls:
    """The looks of a server at its ledger: which event each found last, and whether it knew of a trial after it."""

    def __init__(self, server: Any, ledger: Any) -> None:
        self.seen: list[tuple[int, bool]] = []
        self._server, self._ledger, self._follow = server, ledger, server.door.answerer.follow
        server.door.answerer.follow = self

    def __call__(self) -> Any:
        found = self._ledger.sequence()
        changed = self._follow()
        self.seen.append((found, self._server.door.answerer.routes.trial is not None))
        return changed

    def after(self, sequence: int) -> list[bool]:
        """Whether a trial was known after each look that found this event."""
        return [knows for found, knows in list(self.seen) if found >= sequence]


def test_a_rollback_follows_outcomes_within_a_look_and_a_poll(site: Any, run: Any) -> None:
    """Labels that show the challenger worse: the ticker's next turn ends the trial, and the first look of the server at
    the ledger after it takes the challenger from the routes; no request fails meanwhile."""
    toml = (site.folder / "incumbent.toml").read_text().replace('metric = "brier"\n', 'metric = "brier"\nunit = "u"\n')
    (site.folder / "incumbent.toml").write_text(f"{toml}tick_s = 3600\n[live]\nmode = 'split'\n")
    server = run(site.folder)
    polls = Polls(server, site.facts.ledger)
    clock = [0.0]
    with incumbent.open(site.folder) as project:
        project.clock = lambda: AT + 3 * DAY
        project.live.start("v2", enrolled=1.0, reason="a test", now=AT - DAY)
        ticker = Ticker(project, monotonic=lambda: clock[0])
        assert all(not decision.action for decision in ticker.turn() or ())
        until(lambda: polls.seen[-1][1])
        for start in range(0, ROWS, BATCH):
            numbers = range(start, start + BATCH)
            rows = [{"id": f"{i}", "unit": f"u{i}", "at": AT, "features": {"hour": 5}} for i in numbers]
            assert server.http.post("/v1/predict", json={"rows": rows}).status_code == 200
        outcomes = [{"id": f"{i}", "value": int(i % 7 == 0), "known_at": AT + 1} for i in range(ROWS)]
        clock[0] += 1.0
        assert ticker.turn() is None  # nothing came yet
        for start in range(0, ROWS, BATCH):
            said = server.http.post("/v1/outcomes", json={"outcomes": outcomes[start : start + BATCH]})
            assert said.json()["accepted"] == BATCH
        clock[0] += 1.0
        (decision,) = ticker.turn() or ()
        assert (decision.verdict, decision.action) == ("roll_back", "TrialDecided"), decision.reason
        *_, decided = [event for event in site.facts.ledger.events() if event.type == "TrialDecided"]
    until(lambda: bool(polls.after(decided.sequence)))
    assert polls.after(decided.sequence)[0] is False
    rows = [{"unit": f"u{i}", "features": {"hour": 5}} for i in range(100)]
    answers = server.http.post("/v1/predict", json={"rows": rows}).json()["predictions"]
    assert {(each["version"], each["fallback_reason"]) for each in answers} == {("v1", None)}
    assert fold.roles(site.facts.ledger.events()).trial is None
