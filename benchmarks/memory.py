"""How much memory does an answering process take, how soon does it answer, and does it grow?

In: options. Out: seconds from the start of `incumbent serve` to its first answer, the resident memory of its answering
process then, and again while a million requests pass (64 connections, `wrk`). The model is the logistic regression on
30 floats of `serving.py`, with a split trial, validation and the log. What it takes at first (buffers, caches, the page
cache of the store) is not growth: that is counted from the first tenth on. Run:

    python benchmarks/memory.py                        # 1,000,000 requests: a minute or two
    python benchmarks/memory.py --requests 100000
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx
from killing import children, served
from serving import WRK, bodies, projects

MOST_MB = 250.0
FIRST_ANSWER_S = 2.0
GROWTH_MB = 5.0
STEP_S = 5.0


def resident_mb(pid: int) -> float:
    """The resident memory of a process, without what it shares with files."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1e3  # type: ignore[index]


def first_answer(project: Path, body: bytes) -> tuple[float, float]:
    """(seconds to the first answer, MB of the answering process then)."""
    started = time.perf_counter()
    with served(project, 1) as (url, server):
        assert httpx.post(f"{url}/v1/predict", content=body).status_code == 200
        took = time.perf_counter() - started
        (pid,) = children(server.pid, "answering")
        return took, resident_mb(pid)


def requested(url: str, script: Path, seconds: float) -> tuple[int, int]:
    """(requests, errors) of one load."""
    command = ["wrk", "-t1", "-c64", f"-d{seconds:g}s", "--timeout", "20s", "-s", str(script), f"{url}/v1/predict"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    errors = sum(map(int, re.findall(r"(?:responses:|connect|read|write|timeout) (\d+)", said)))
    return int(re.search(r"(\d+) requests in", said)[1]), errors  # type: ignore[index]


def growth(project: Path, script: Path, requests: int) -> tuple[list[tuple[int, float]], int]:
    """(requests so far, MB) while a server answers, and how many of them failed."""
    seen: list[tuple[int, float]] = []
    done = errors = 0
    with served(project, 1) as (url, server):
        (pid,) = children(server.pid, "answering")
        seen.append((0, resident_mb(pid)))
        while done < requests:
            more, failed = requested(url, script, min(STEP_S, 2.0 if requests < 500_000 else STEP_S))
            done, errors = done + more, errors + failed
            seen.append((done, resident_mb(pid)))
            print(f"     {done:10,} requests {seen[-1][1]:8.1f} MB", flush=True)
    return seen, errors


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--requests", type=int, default=1_000_000)
    chosen = options.parse_args()
    if shutil.which("wrk") is None:
        print("found no wrk; install it first (Debian: apt-get install wrk)")
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = projects(folder, "linear")
        requests = bodies(folder, 1)
        script = folder / "post.lua"
        script.write_text(WRK.format(bodies=requests))
        starts = [first_answer(project, requests.read_bytes().splitlines()[0]) for _ in range(3)]
        seen, errors = growth(project, script, chosen.requests)
    took, at_first = median(s for s, _ in starts), median(mb for _, mb in starts)
    settled = next(mb for done, mb in seen if done >= chosen.requests / 10)
    grown = seen[-1][1] - settled
    found = [
        ("seconds from the start to the first answer", took, f"<= {FIRST_ANSWER_S:g}", took <= FIRST_ANSWER_S),
        ("MB of an answering process at its first answer", at_first, f"<= {MOST_MB:g}", at_first <= MOST_MB),
        (f"MB after {seen[-1][0]:,} requests ({errors} errors)", seen[-1][1], f"<= {MOST_MB:g}",
         seen[-1][1] <= MOST_MB and not errors),
        (f"MB grown since the first {chosen.requests // 10:,}", grown, f"<= {GROWTH_MB:g}", grown <= GROWTH_MB),
    ]  # fmt: skip
    for what, value, wanted, fine in found:
        print(f"{'ok  ' if fine else 'MISS'} {what:58} {value:8.2f}  {wanted}")
    print(json.dumps({what: round(value, 3) for what, value, _, _ in found}))
    return int(not all(fine for *_, fine in found))


if __name__ == "__main__":
    sys.exit(main())
