"""How long does a look at a trial of a million exposures take, when a tick's worth of news came since the last one?

In: the number of exposures, and a folder or a URL of PostgreSQL (a schema there, dropped again). Out: the cold fold
(all rows at once), then looks at a split after 5,000 rows and their outcomes each, from the log to the verdict
(`trial_sums`, `judge_split`), the question whether anything came, the same look repeated from all rows, and looks at a
shadow of as many pairs (`pair_sums`, `judge_shadow`). The median of five; what is beyond its limit is a MISS. The log
is tidied beside it, as the keeper does it.
"""

import gc
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from uuid import uuid4

from incumbent.config import Live, Measure, Store
from incumbent.loop.log import Ids
from incumbent.records import DAY, SECOND, Evidence, Outcome, Prediction, Shadow, Trial
from incumbent.stats import metrics
from incumbent.steps.live import sums
from incumbent.steps.live.trial import judge_shadow, judge_split
from incumbent.storage.base import Log
from incumbent.storage.sqlite import open_log

START = 1_364_774_400 * SECOND
HOUR = 3600 * SECOND
DAYS = 14
NEWS = 5_000
LOOKS = 5
LIMIT_S = 1.0
LIMIT_MB = 2_000
UNITS = 300_000
CHUNK = 20_000
LIVE = Live(latency_budget_ms=20.0, measure=(Measure("revenue", of="sum", margin=1.0, cap=50.0),))
TRIAL = Trial("trial", "v9", "v1", "split", START, phase_started_at=START, caps={"revenue": 50.0})
PLAN = sums.plan(TRIAL, LIVE)
BRIER = metrics.get("brier", "binary")


def rows(first: int, n: int, since: int, until: int) -> list[Prediction]:
    """Exposures in order of time: units that come again and again, half of them in each arm."""
    new_id = Ids()
    made = []
    for number in range(first, first + n):
        at = since + (until - since) * (number - first) // n
        unit = number * 7919 % UNITS
        arm, version = ("challenger", "v2") if unit % 2 else ("incumbent", "v1")
        reason = "timeout" if number % 500 == 0 else None
        asked = {"x": number % 100}
        made.append(
            Prediction(new_id(at), at, asked, version, version, (0.25, 0.75), f"user-{unit}", "trial", 1, arm, 0.5,
                       reason, 5_000 + number * 31 % 17_000)
        )  # fmt: skip
    return made


def tell(log: Log, some: list[Prediction], shadows: bool = False) -> None:
    """Rows, then their labels and what people spent, settled as the server does it."""
    for i in range(0, len(some), CHUNK):
        part = some[i : i + CHUNK]
        log.append(part)
        if shadows:
            log.append_shadows([Shadow(p.id, "v9", (0.3, 0.7), None, p.latency_us) for p in part])
        said = [Outcome(p.id, n % 2, p.at + HOUR) for n, p in enumerate(part)]
        if not shadows:
            said += [Outcome(p.id, n % 40 / 4, p.at + HOUR, "revenue") for n, p in enumerate(part) if n % 10 == 0]
        log.append_outcomes(said)
        settle(log)
        log.tidy()


def settle(log: Log) -> None:
    """Give every unscored output a loss."""
    while due := log.unscored(CHUNK):
        log.put_losses([(each.id, each.version, 10**6 * (n * 37 % 400)) for n, each in enumerate(due)])


def took(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and those of them in which this process was at work."""
    gc.collect()
    start, work = perf_counter(), process_time()
    call()
    return perf_counter() - start, process_time() - work


@contextmanager
def opened(where: str | None) -> Iterator[tuple[Log, Callable[[], object]]]:
    """An empty log, and what the store does by itself a while after much was loaded: PostgreSQL looks at its tables."""
    if where is None or "://" not in where:
        with TemporaryDirectory(dir=where) as name, closing(open_log(Path(name), Store())) as log:
            yield log, log.tidy
        return
    import psycopg

    from incumbent.storage import postgres

    schema = f"benchmark_{uuid4().hex}"
    try:
        with closing(postgres.open_log(where, schema, Store())) as log, psycopg.connect(where, autocommit=True) as own:
            yield log, lambda: own.execute("ANALYZE")
    finally:
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def say(what: str, took: tuple[float, float], limit: float | None = None) -> bool:
    """A line; was it within its limit?"""
    good = limit is None or took[0] <= limit
    verdict = "" if limit is None else f"at most {limit:g} s: {'ok' if good else 'MISS'}"
    print(f"{what:62} {took[0]:8.3f} s, {took[1]:8.3f} of work   {verdict}", flush=True)
    return good


def middle(times: list[tuple[float, float]]) -> tuple[float, float]:
    """The median of each."""
    first, second = zip(*times, strict=True)
    return median(first), median(second)


def split(log: Log, rest: Callable[[], object], exposures: int) -> bool:
    """Looks at a split."""
    end = START + DAYS * DAY
    before = [
        replace(p, trial=None, arm=None, phase=0, at=p.at - DAYS * DAY) for p in rows(0, exposures // 4, START, end)
    ]
    tell(log, before)
    tell(log, rows(10**7, exposures, START, end))
    rest()
    print(f"{exposures:,} exposures of {UNITS:,} units, {len(before):,} rows before the trial")
    fresh, now = count(2 * 10**7, NEWS), end
    step = DAYS * DAY * NEWS // exposures  # so that as many rows mature as arrive

    def look() -> Evidence:
        return judge_split(TRIAL, log.trial_sums(PLAN, now), LIVE, BRIER, now)

    say("cold fold: the first look", took(look))
    times = []
    for _ in range(LOOKS):
        tell(log, rows(next(fresh), NEWS, now, now + step))
        now += step
        times.append(took(look))
    good = say(f"a look after {NEWS:,} rows and their outcomes, median of {LOOKS}", middle(times), LIMIT_S)
    say("mark: has anything come?", middle([took(lambda: log.mark(now)) for _ in range(LOOKS)]))
    mark = log.trial_sums(PLAN, now).mark
    say("the same look again from all rows (replay)", took(lambda: log.trial_sums_at(PLAN, mark)))
    seen = look()
    known = seen.numbers["lower"] is not None and seen.numbers["labelled"]["challenger"] > exposures // 4
    print(f"what it says: {seen.verdict}, {seen.numbers['labelled']['challenger']:,} labels of the challenger, "
          f"gain {seen.numbers['estimate']:+.2g}, at least {seen.numbers['lower']}: {'ok' if known else 'MISS'}")
    return good and known


def shadow(log: Log, rest: Callable[[], object], pairs: int) -> bool:
    """Looks at a shadow."""
    end = START + DAYS * DAY
    some = [replace(p, version="v1", served_by="v1", trial=None, arm=None) for p in rows(10**7, pairs, START, end)]
    tell(log, some, shadows=True)
    rest()
    fresh, now, step = count(2 * 10**7, NEWS), end, DAYS * DAY * NEWS // pairs

    trial = replace(TRIAL, mode="shadow")

    def look() -> Evidence:
        mark = log.mark(now + DAY, ["v1", "v9"])
        blocks = log.pair_sums("v1", "v9", HOUR, START, now, mark, 0, 20_000)
        return judge_shadow(trial, blocks, LIVE, BRIER, now, block=HOUR, mark=mark)

    print(f"{pairs:,} pairs")
    say("cold: the first look", took(look))
    times = []
    for _ in range(LOOKS):
        news = [replace(p, version="v1", served_by="v1", trial=None, arm=None)
                for p in rows(next(fresh), NEWS, now, now + step)]  # fmt: skip
        tell(log, news, shadows=True)
        now += step
        times.append(took(look))
    return say(f"a look after {NEWS:,} pairs and their outcomes, median of {LOOKS}", middle(times), LIMIT_S)


def main(n: int, where: str | None) -> int:
    """Exit code 1 where something was missed."""
    good = []
    for part in (split, shadow):
        with opened(where) as (log, rest):
            good.append(part(log, rest, n))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    good.append(peak <= LIMIT_MB)
    print(f"{'memory at its peak, with the rows that were made':62} {peak:9.0f} MB  "
          f"at most {LIMIT_MB:,} MB: {'ok' if good[-1] else 'MISS'}")  # fmt: skip
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, sys.argv[2] if len(sys.argv) > 2 else None))
