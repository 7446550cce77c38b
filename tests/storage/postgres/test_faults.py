"""A process that is killed in the middle of an append loses nothing that was acknowledged."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from incumbent.checks.storage.opened import InSchema, labels, schema_of
from incumbent.storage.postgres import open_log

ROWS = 20
PROGRAM = f"""
import sys
from incumbent.checks.storage.opened import T0, learnt, predicted
from incumbent.config import Store
from incumbent.storage.postgres import open_log
log, batch = open_log(sys.argv[1], sys.argv[2], Store()), 0
while True:
    ids = [f"{{batch}}-{{row}}" for row in range({ROWS})]
    log.append([predicted(id, T0 + batch) for id in ids])
    print("predictions", batch, flush=True)
    log.append_outcomes([learnt(id, batch) for id in ids])
    print("outcomes", batch, flush=True)
    batch += 1
"""


@pytest.mark.parametrize("lines", [1, 24, 121])
def test_a_killed_process_loses_nothing_that_it_acknowledged(server: Any, tmp_path: Path, lines: int) -> None:
    """SIGKILL at some point: the log holds each batch whole or not at all, and nobody waits for the dead one."""
    command = [sys.executable, "-c", PROGRAM, server.url, schema_of(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    said += child.communicate(timeout=30)[0].splitlines(keepends=True)
    log = InSchema(open_log, server.url)(tmp_path)
    found = labels(log)
    for what, batch in (line.split() for line in said if line.endswith("\n")):
        expected = int(batch) if what == "outcomes" else found[f"{batch}-0"]
        assert {found[f"{batch}-{row}"] for row in range(ROWS)} == {expected}
    totals = log.totals()
    assert len(found) == totals.predictions and (totals.predictions % ROWS, totals.outcomes % ROWS) == (0, 0)
    log.close()
