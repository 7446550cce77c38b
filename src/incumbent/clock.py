"""The wall clock as task time. Everything else is given its time as an argument."""

import time

from incumbent.records import Micros


def wall() -> Micros:
    """Now, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000
