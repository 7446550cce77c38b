"""A process that appends until it is stopped: by a signal, or by a full disk. The fault tests run it as a script.

It prints a line when a call has returned: what is printed was acknowledged. `python appending.py FOLDER DURABILITY`.
"""

import sys
from pathlib import Path

from incumbent.checks.storage.opened import T0, learnt, predicted, shadowed
from incumbent.config import Store
from incumbent.errors import StoreFull
from incumbent.storage.files import open_blobs
from incumbent.storage.sqlite import open_ledger, open_log

ROWS = 20


def main(folder: Path, durability: str) -> None:
    """Append batch after batch; on a full disk say so and look what is left."""
    store = Store(durability=durability)  # type: ignore[arg-type]
    log, ledger, blobs = open_log(folder, store), open_ledger(folder, store), open_blobs(folder / "blobs")
    batch = 0
    try:
        while True:
            ids = [f"{batch}-{row}" for row in range(ROWS)]
            log.append([predicted(id, T0 + batch) for id in ids])
            print("predictions", batch, flush=True)
            log.append_shadows([shadowed(id) for id in ids])
            log.append_outcomes([learnt(id, batch) for id in ids])
            print("outcomes", batch, flush=True)
            ledger.append("Noted", at=T0, actor="a", reason=f"batch {batch}")
            print("events", batch, flush=True)
            print("blob", blobs.put(b"%d " % batch * 1000), flush=True)
            batch += 1
    except StoreFull as error:
        print("full", str(error).replace("\n", " "), flush=True)
        print("readable", log.totals().predictions, ledger.verify(), flush=True)
    (folder / "filler").unlink()
    log.append([predicted("after", T0)])
    print("after", len(log.find(["after"])), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
