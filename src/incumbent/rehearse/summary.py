"""What a rehearsal found: counts, a table by month, every decision. Plain values that JSON can write."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from incumbent.records import Json
from incumbent.rehearse.compare import Month

LOOP, SHIPPED, UNTOUCHED, PRIOR = "loop", "always ship", "untouched", "prior"


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts and times of the replay. `lost` predictions were answered and are not in the log; times in ms."""

    requests: int
    rows: int
    failed: int
    lost: int
    without_version: int
    outcomes: int
    fallbacks: int
    request_p50_ms: float
    request_p99_ms: float
    row_p50_ms: float
    row_p99_ms: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a rehearsal found. `decisions_digest` is the same whenever the same code meets the same rows."""

    task: str
    metric: str
    since: str
    until: str
    faults: bool
    truth: str
    onset: tuple[str, ...]
    recipes: tuple[str, ...]
    months: tuple[Month, ...]
    overall: Mapping[str, float]
    decisions: tuple[Mapping[str, Json], ...]
    refused: tuple[str, ...]
    trials: tuple[tuple[tuple[str, str, str], ...], ...]
    broken_feeds: tuple[tuple[str, bool, str], ...]
    speed: tuple[Mapping[str, Json], ...]
    totals: Totals
    decisions_digest: str

    def to_dict(self) -> dict[str, Json]:
        return asdict(self)
