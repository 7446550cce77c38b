"""The numbers of every answering process, in one small file each.

In: this process's Meter, and what stands now. Out: the sum over all processes. Each process writes its file
(`<slot>.numbers` in a folder of the supervisor) every second and before it answers a scrape, so that nothing that was
shown is ever lost; a process that takes the place of a dead one goes on from its file. Whoever is asked adds them up:
counters never go backwards, and those of the other processes are at most a second old.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import msgspec

from incumbent.loop.meter import Key, Meter, Snapshot, total

SUFFIX = ".numbers"
FRESH_S = 10.0
"""A process that has written nothing for so long is gone, or stuck: its counts stay, its levels do not."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands now, rather than what was counted. `dropped` is what this process dropped since it started;
    `waiting` are rows by version."""

    sequence: int = 0
    backlog: int = 0
    dropped: int = 0
    breakers: Mapping[str, str] | None = None
    waiting: Mapping[str, int] | None = None

    def levels(self) -> dict[Key, float]:
        found: dict[Key, float] = {("shadow_backlog_rows",): self.backlog, ("processes",): 1}
        found |= {("waiting_rows", version): rows for version, rows in (self.waiting or {}).items()}
        found |= {("breakers", version, state): 1 for version, state in (self.breakers or {}).items()}
        return found


class _Kept(msgspec.Struct, array_like=True):
    """A file of numbers."""

    at: float
    pid: int
    sequence: int
    counts: list[tuple[list[str], float]]
    times: list[tuple[list[str], list[float]]]
    levels: list[tuple[list[str], float]]

    def snapshot(self, living: bool) -> Snapshot:
        return Snapshot(
            {tuple(key): count for key, count in self.counts},
            {tuple(key): held for key, held in self.times},
            {tuple(key): level for key, level in self.levels} if living else {},
        )


class Numbers:
    """The numbers of this process, and those of the others in `folder` (None: there are no others).

    `meter` resumes where the process that had `slot` before ended.
    """

    def __init__(
        self,
        meter: Meter,
        read: Callable[[], Reading] = Reading,
        folder: Path | None = None,
        slot: str = "0",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.meter, self._read, self._folder, self._slot, self._clock = meter, read, folder, slot, clock
        self._dropped = 0
        self._lock = Lock()
        before = None if folder is None else _kept(self._path)
        if before is not None:
            meter.resume(before.snapshot(living=False))

    @property
    def shared(self) -> bool:
        return self._folder is not None

    def publish(self, living: bool = True) -> None:
        """Write this process's numbers where the others find them; at its end without levels. Any thread may."""
        if self._folder is not None:
            with self._lock:
                _write(self._path, self._own(living))

    def all(self) -> tuple[Snapshot, int]:
        """The sum over all processes, and the least ledger sequence that a living one follows."""
        with self._lock:
            own = self._own()
            if self._folder is None:
                return own.snapshot(living=True), own.sequence
            _write(self._path, own)
        files = (path for path in self._folder.glob(f"*{SUFFIX}") if path != self._path)
        found = [own, *(kept for kept in map(_kept, files) if kept is not None)]
        living = [kept for kept in found if kept.levels and kept.at >= own.at - FRESH_S]
        summed = total(kept.snapshot(kept in living) for kept in found)
        return summed, min((kept.sequence for kept in living), default=own.sequence)

    @property
    def _path(self) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._slot}{SUFFIX}"

    def _own(self, living: bool = True) -> _Kept:
        read = self._read()
        self.meter.count("shadow_dropped_rows", by=read.dropped - self._dropped)
        self._dropped = read.dropped
        found = self.meter.snapshot(read.levels() if living else None)
        return _Kept(
            self._clock(),
            os.getpid(),
            read.sequence,
            [(list(key), count) for key, count in found.counts.items()],
            [(list(key), held) for key, held in found.times.items()],
            [(list(key), level) for key, level in found.levels.items()],
        )


def _kept(path: Path) -> _Kept | None:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return None


def _write(path: Path, kept: _Kept) -> None:
    """Whole or not at all: somebody may be reading."""
    beside = path.with_suffix(".part")
    beside.write_bytes(msgspec.msgpack.encode(kept))
    beside.replace(path)
