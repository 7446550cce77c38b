"""How long does `import incumbent` take, beside starting Python alone?

In: the interpreter that runs this file. Out: two medians, their difference and, when that is over the limit,
the slowest modules as `-X importtime` reports them. Exit code 1 when it is over the limit.
"""

import subprocess
import sys
from statistics import median
from time import perf_counter

RUNS = 10
LIMIT_S = 0.25
SLOWEST = 15


def seconds(statement: str) -> float:
    """Wall-clock seconds of one fresh interpreter that runs `statement`."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return perf_counter() - start


def slowest(statement: str) -> list[str]:
    """The lines of `-X importtime` with the largest cumulative time, slowest first."""
    command = [sys.executable, "-X", "importtime", "-c", statement]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()
    timed = [line for line in lines if line.count("|") == 2 and line.split("|")[1].strip().isdigit()]
    return sorted(timed, key=lambda line: -int(line.split("|")[1]))[:SLOWEST]


def main() -> int:
    seconds("import incumbent")  # writes the bytecode, and warms the disk
    # Interleaved, so that noise hits both alike.
    pairs = [(seconds("pass"), seconds("import incumbent")) for _ in range(RUNS)]
    bare, package = (median(column) for column in zip(*pairs, strict=True))
    print(f"python alone      {bare:.3f} s  (median of {RUNS})")
    print(f"import incumbent  {package:.3f} s")
    print(f"difference        {package - bare:.3f} s  (limit {LIMIT_S} s)")
    if package - bare <= LIMIT_S:
        return 0
    print("self [us] | cumulative | module", *slowest("import incumbent"), sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
