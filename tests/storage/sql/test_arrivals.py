"""What arrives, behind the Log: a call says once which blocks of kept pairs it changed."""

import sqlite3
from contextlib import closing
from pathlib import Path

from incumbent.checks.storage.opened import HOUR, T0, learnt, predicted, score, shadowed
from incumbent.config import Store
from incumbent.storage.sqlite import open_log


def test_corrections_of_one_call_touch_their_blocks_once(tmp_path: Path) -> None:
    """Block by block, whatever the order of the call: so two callers take the same rows in the same order."""
    log = open_log(tmp_path, Store())
    ids = [f"{n}" for n in range(8)]
    log.append([predicted(id, T0 + (n % 2) * HOUR + n) for n, id in enumerate(ids)])
    log.append_shadows([shadowed(id) for id in ids])
    log.append_outcomes([learnt(id) for id in ids])
    score(log)
    assert [one.rows for one in log.pair_sums("v1", "v2", HOUR, T0, T0 + 2 * HOUR, T0 + 100 * HOUR)] == [4, 4]
    log.append_outcomes([learnt(id, 0, T0 + 2 * HOUR) for id in reversed(ids)])
    log.append_outcomes([learnt(id, 0, T0 + 3 * HOUR, name="paid") for id in ids])
    with closing(sqlite3.connect(tmp_path / "log.db")) as other:
        blocks = other.execute("SELECT touched, state FROM pair_block ORDER BY block").fetchall()
    assert blocks == [(1, None), (1, None)]
    assert log.pair_sums("v1", "v2", HOUR, T0, T0 + 2 * HOUR, T0 + 100 * HOUR) == []
    log.close()
