"""kill -9 in the middle of the traffic: is every acknowledged prediction in the log, exactly once?

In: a number of kills. Out: for each a line of what was acknowledged and what was found. Several connections send single
rows and requests of 50, with ids of their own and without; then an answering process is killed, or the supervisor with
all of its processes. After the next start every acknowledged id must be in the log once, the retry of a client's id
must hear the same answer, a request that was cut off may be sent again, and outcomes must find their predictions. Run:

    python benchmarks/killing.py               # 20 kills
    python benchmarks/killing.py --kills 4
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from sites import Caller, Ended, project

from incumbent import config
from incumbent.storage.opening import open_facts

CONNECTIONS = 6
ACKNOWLEDGED = 400
WAIT_S = 60.0
WAYS = ("one process", "one of two", "all of them")
SAMPLE = 200


class Told:
    """What the clients asked and heard, over all kills. `asked` are the features under each id of a client."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        self.cut_off = 0
        self.wrong: list[str] = []

    def heard(self, predictions: list[dict[str, Any]]) -> None:
        for each in predictions:
            if self.answers.setdefault(each["id"], each) != each:
                self.wrong.append(f"the id {each['id']} heard {self.answers[each['id']]} and then {each}")


async def traffic(url: str, draw: Random, told: Told, stop: asyncio.Event, name: str) -> None:
    """One client, until `stop`; a connection that breaks is opened again."""
    caller, number = Caller(url), 0
    while not stop.is_set():
        rows = []
        with_ids = draw.random() < 0.5
        for _ in range(draw.choice((1, 1, 1, 50))):
            row: dict[str, Any] = {"features": {"hour": draw.randrange(24), "carrier": "UA"}}
            if with_ids:
                row["id"], number = f"{name}-{number}", number + 1
                told.asked[row["id"]] = row
            rows.append(row)
        try:
            said = await caller.post(b"/v1/predict", json.dumps({"rows": rows}).encode())
        except (Ended, OSError):
            told.cut_off += 1
            await asyncio.sleep(0.01)  # the server is gone, or one of its processes; `stop` ends the wait
            continue
        if said.status != 200:
            told.wrong.append(f"status {said.status}: {said.body[:200]!r}")
            return
        told.heard(json.loads(said.body)["predictions"])
    caller.close()


@contextmanager
def served(folder: Path, workers: int) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """`incumbent serve` as a person starts it; it ends in order where it was not killed."""
    command = [sys.executable, "-m", "incumbent", "serve", "-p", str(folder), "--port", "0", "--json", "--no-tick",
               "--workers", str(workers)]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdout is not None
    line = server.stdout.readline()
    try:
        yield json.loads(line)["url"], server
    finally:
        server.terminate()  # nothing happens to one that was killed
        server.wait(WAIT_S)
        server.stdout.close()


def children(pid: int, kind: str = "") -> list[int]:
    """The processes whose parent it is; `kind` is a word of their command ("answering", "keeping")."""
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in found if kind in Path(f"/proc/{child}/cmdline").read_text()]


def killed(server: "subprocess.Popen[bytes]", way: str) -> None:
    """SIGKILL, in mid-traffic."""
    below = children(server.pid)
    if way == "one of two":
        os.kill(children(server.pid, "answering")[0], signal.SIGKILL)
        return
    os.kill(server.pid, signal.SIGKILL)
    for pid in below:
        os.kill(pid, signal.SIGKILL)


def kill_once(folder: Path, way: str, seed: int, told: Told) -> None:
    """Traffic, a kill, and what is found after the next start."""

    async def until_killed(url: str, server: "subprocess.Popen[bytes]") -> None:
        stop, before, draw = asyncio.Event(), len(told.answers), Random(seed)
        clients = [
            asyncio.create_task(traffic(url, Random(seed * 100 + n), told, stop, f"{seed}-{n}"))
            for n in range(CONNECTIONS)
        ]
        async with asyncio.timeout(WAIT_S):
            wanted = ACKNOWLEDGED + draw.randrange(ACKNOWLEDGED)
            while len(told.answers) < before + wanted and not told.wrong:
                await asyncio.sleep(0.002)
            killed(server, way)
            if way == "one of two":  # the other one answers on, and a new one is started
                more = len(told.answers) + ACKNOWLEDGED
                while len(told.answers) < more and not told.wrong:
                    await asyncio.sleep(0.002)
            stop.set()
            await asyncio.gather(*clients)

    with served(folder, 0 if way == "one process" else 2) as (url, server):
        asyncio.run(until_killed(url, server))
    with served(folder, 1) as (url, _):
        told.wrong += faults(folder, told)
        asyncio.run(asked_again(url, told, Random(seed)))
    told.wrong += faults(folder, told)


def faults(folder: Path, told: Told) -> list[str]:
    """What is wrong in the log."""
    with open_facts(config.load(folder)) as facts:
        found = Counter(row.prediction.id for rows in facts.log.scan() for row in rows)
    lost = [id for id in told.answers if id not in found]
    twice = [id for id, times in found.items() if times > 1]
    return [f"not in the log: {id}" for id in lost] + [f"more than once in the log: {id}" for id in twice]


async def asked_again(url: str, told: Told, draw: Random) -> None:
    """Retries hear the same answer, what was cut off is answered now, and outcomes find their predictions."""
    caller = Caller(url)
    known = [id for id in told.asked if id in told.answers]
    again = [id for id in told.asked if id not in told.answers] + draw.sample(known, min(SAMPLE, len(known)))
    for id in again:
        said = await caller.post(b"/v1/predict", json.dumps({"rows": [told.asked[id]]}).encode())
        if said.status != 200:
            told.wrong.append(f"the retry of {id}: status {said.status}, {said.body[:200]!r}")
        else:
            told.heard(json.loads(said.body)["predictions"])
    ids = draw.sample(sorted(told.answers), min(SAMPLE, len(told.answers)))
    outcomes = {"outcomes": [{"id": id, "value": 1} for id in ids]}
    said = await caller.post(b"/v1/outcomes", json.dumps(outcomes).encode())
    if said.status != 200 or json.loads(said.body)["pending"]:
        told.wrong.append(f"outcomes did not find their predictions: {said.body[:200]!r}")
    caller.close()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=20)
    chosen = options.parse_args()
    told = Told()
    with tempfile.TemporaryDirectory() as name:
        folder = project(Path(name) / "project")
        for number in range(chosen.kills):
            way = WAYS[number % len(WAYS)]
            kill_once(folder, way, number, told)
            print(f"{number + 1:3} {way:12} {len(told.answers):7,} acknowledged, {told.cut_off:4} requests cut off, "
                  f"{len(told.wrong)} wrong", flush=True)  # fmt: skip
    for each in told.wrong[:20]:
        print(each)
    print("MISS" if told.wrong else "ok  ", f"{chosen.kills} kills, {len(told.answers):,} acknowledged predictions")
    return int(bool(told.wrong))


if __name__ == "__main__":
    sys.exit(main())
