"""A split stays clean whatever happens to processes and store: the arm of each unit is the one that the hash says."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest

from incumbent import config
from incumbent.loop import fold, promote
from incumbent.loop.route import share_hash
from incumbent.records import DAY, Roles
from incumbent.storage.opening import open_facts

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
killing, sites = import_module("killing"), import_module("sites")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

UNITS, CLIENTS, STEP = 300, 4, 250
BEFORE, AFTER = 0.5, 1.0
WAIT_S = 60.0
LOCKED_S = 0.5
SETTINGS = "[serve]\npoll_s = 0.1\n"
WHO: dict[str, Any] = {"at": DAY, "actor": "test", "reason": "a test"}


class Traffic:
    """Clients that ask for random units, some with ids of their own, one in five of them again; what they heard."""

    def __init__(self) -> None:
        self.heard: dict[str, dict[str, Any]] = {}
        self.unit_of: dict[str, str] = {}
        self.wrong: list[str] = []
        self.cut_off = 0

    async def client(self, url: str, draw: Random, name: str, stop: asyncio.Event) -> None:
        caller, number = sites.Caller(url), 0
        rows: list[dict[str, Any]] = []
        again = False
        while not (stop.is_set() and not again):
            if not again and not (rows and "id" in rows[0] and draw.random() < 0.2):
                rows = [self._row(draw, f"{name}-{number + i}") for i in range(draw.choice((1, 1, 7)))]
                number += len(rows)
            try:
                said = await caller.post(b"/v1/predict", json.dumps({"rows": rows}).encode())
            except (sites.Ended, OSError):
                self.cut_off += 1
                again = "id" in rows[0] and not stop.is_set()  # else nobody knows whether it was taken
                await asyncio.sleep(0.01)
                continue
            again = False
            if said.status != 200:
                self.wrong.append(f"{said.status}: {said.body[:200]!r}")
                return
            for row, one in zip(rows, json.loads(said.body)["predictions"], strict=True):
                self.unit_of[one["id"]] = row["unit"]
                if self.heard.setdefault(one["id"], one) != one:
                    self.wrong.append(f"{one['id']} heard {self.heard[one['id']]} and then {one}")
        caller.close()

    def _row(self, draw: Random, id: str) -> dict[str, Any]:
        row = {"unit": f"unit-{draw.randrange(UNITS)}", "features": {"hour": draw.randrange(24), "carrier": "UA"}}
        return {**row, "id": id} if int(id.rsplit("-", 1)[0][-1]) % 2 else row

    async def grow(self, by: int) -> None:
        """Until so many more rows were answered."""
        async with asyncio.timeout(WAIT_S):
            wanted = len(self.heard) + by
            while len(self.heard) < wanted and not self.wrong:
                await asyncio.sleep(0.002)


def roles(facts: Any) -> Roles:
    return fold.roles(facts.ledger.events())


async def locked(folder: Path) -> None:
    """Another process has the store for a while."""
    with sqlite3.connect(folder / ".incumbent" / "log.db", isolation_level=None) as held:
        held.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(LOCKED_S)
        held.execute("ROLLBACK")
    held.close()


async def disturbed(url: str, server: Any, folder: Path, facts: Any, traffic: Traffic, seed: int) -> None:
    """Traffic, an answering process that is killed, a locked store, a share that is raised."""
    stop = asyncio.Event()
    clients = [
        asyncio.create_task(traffic.client(url, Random(seed * 10 + n), f"{seed}-{n}", stop)) for n in range(CLIENTS)
    ]
    await traffic.grow(STEP)
    os.kill(killing.children(server.pid, "answering")[0], signal.SIGKILL)
    await traffic.grow(STEP)
    await locked(folder)
    await traffic.grow(STEP)
    if roles(facts).trial.enrolled < AFTER:  # type: ignore[union-attr]
        promote.raise_enrolment(facts.ledger, roles(facts), AFTER, **WHO)
        await traffic.grow(STEP)
    stop.set()
    await asyncio.gather(*clients)


@pytest.mark.slow
@pytest.mark.parametrize("called", [0.0, 1 / 3])
def test_nobody_changes_arm_whatever_happens(tmp_path: Path, called: float) -> None:
    """Two answering processes; one is killed, the store is locked, more units take part, all of it twice with a restart
    in between: every row is in the log once, in the arm that the hash says, and no unit is in two."""
    folder = sites.project(tmp_path / "project", SETTINGS)
    traffic = Traffic()
    with open_facts(config.load(folder)) as facts:
        shares: dict[str, Any] = {"share": 1 / 3, "called": called} if called else {}
        promote.start_trial(facts.ledger, roles(facts), "v2", mode="split", enrolled=BEFORE, name="t", **shares, **WHO)
        trial = roles(facts).trial
        assert trial is not None
        for seed in (1, 2):
            with killing.served(folder, 2) as (url, server):
                asyncio.run(disturbed(url, server, folder, facts, traffic, seed))
        kept = [row.prediction for rows in facts.log.scan() for row in rows]
    assert traffic.wrong == []

    def dealt(unit: str) -> str:
        place = share_hash("t/1", "arm", unit)
        ends = [("challenger", trial.share), ("called", trial.share + trial.called), ("incumbent", 1.0)]
        return next(arm for arm, end in ends if place < end)

    arms: dict[str, set[str]] = defaultdict(set)
    for row in kept:
        assert row.unit is not None
        first = share_hash("t/1", "enrol", row.unit) < BEFORE
        assert row.arm == dealt(row.unit) if first else row.arm in (None, dealt(row.unit)), row
        assert (row.trial, row.phase) == (("t", 1) if row.arm else (None, 0))
        assert row.served_by == row.version == ("v2" if row.arm == "challenger" else "v1")
        if row.arm is not None:
            arms[row.unit].add(row.arm)
    assert {len(found) for found in arms.values()} == {1}
    assert {arm for found in arms.values() for arm in found} == set(trial.shares)
    assert len({row.id for row in kept}) == len(kept)
    assert {row.id: row.unit for row in kept if row.id in traffic.heard} == traffic.unit_of
    assert set(traffic.heard) <= {row.id for row in kept}
    late = [row for row in kept if share_hash("t/1", "enrol", row.unit or "") >= BEFORE]
    assert {row.arm is None for row in late} == {True, False}  # before and after more took part
