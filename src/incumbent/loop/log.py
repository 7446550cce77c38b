"""Make the prediction durable: what is written down about an answer, when it may leave, and what a retry hears.

In: rows that were answered. Out: the same, kept as `store.durability` declares, private columns hashed before
anything is. Ids that we make are made here. Routes nothing and asks no version.
"""

import asyncio
import json
import logging
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from incumbent.errors import DataError, IdReused, IncumbentError, StorageError, StoreLocked
from incumbent.loop.asked import Asked
from incumbent.records import Json, Micros
from incumbent.storage.base import Log, PredictionRow, row_of
from incumbent.storage.values import json_text

SALT_FILE = "salt"
BEHIND_S = 0.02
MOST_BEHIND = 200_000
"""Rows that may wait for a store that cannot be written, where answers do not wait for it; older ones are lost."""
RACES = 3
_SALT_BYTES = 32
_LOGGER = logging.getLogger("incumbent")
_decode = msgspec.json.Decoder().decode


class Ids:
    """Makes UUIDv7s (RFC 9562): sorted by task time to a quarter of a microsecond, with 62 random bits.

    The random bits are drawn for many ids at once: one costs 0.3 us, and 1.4 us by itself.
    """

    __slots__ = ("_at", "_left", "_prefix", "_random")

    def __init__(self) -> None:
        self._at, self._prefix = -1, ""
        self._random, self._left = "", 0

    def __call__(self, at: Micros) -> str:
        """An id for a time.

        >>> Ids()(1364774400000000)[:18]
        '013dc2e4-b000-7000'
        """
        if at != self._at:
            self._at, self._prefix = at, _of_time(at)
        if not self._left:
            self._random, self._left = _drawn(256), 16 * 256
        self._left = start = self._left - 16
        drawn = self._random
        return f"{self._prefix}{drawn[start:start + 4]}-{drawn[start + 4:start + 16]}"

    def many(self, ats: Sequence[Micros]) -> list[str]:
        """An id for each of some times. Where all are one time and there are many, an id costs half."""
        if len(ats) < _MANY or ats.count(ats[0]) < len(ats):
            return [self(at) for at in ats]
        prefix, drawn = _of_time(ats[0]), _drawn(len(ats))
        return [f"{prefix}{drawn[i:i + 4]}-{drawn[i + 4:i + 16]}" for i in range(0, len(drawn), 16)]


_MANY = 16
_VARIANT = bytes(0x80 | byte & 0x3F for byte in range(256))
"""The first two bits of the fourth part are 1 and 0: the variant."""


def _of_time(at: Micros) -> str:
    """What comes before the random bits."""
    milliseconds, rest = divmod(at, 1000)
    time = f"{milliseconds & 0xFFFF_FFFF_FFFF:012x}"
    return f"{time[:8]}-{time[8:]}-7{rest * 4096 // 1000:03x}-"


def _drawn(count: int) -> str:
    """The last 16 hex digits of so many ids: the variant and 62 random bits each."""
    drawn = bytearray(os.urandom(8 * count))
    drawn[::8] = drawn[::8].translate(_VARIANT)
    return drawn.hex()


@dataclass(frozen=True, slots=True)
class Privacy:
    """Which columns are hashed, and with which secret salt (else values could be guessed)."""

    columns: tuple[str, ...] = ()
    salt: bytes = b""
    unit: bool = False

    def features(self, features: Mapping[str, Json]) -> Mapping[str, Json]:
        """The features as they are kept. A null stays null: that a value is missing is no secret."""
        if not self.columns:
            return features
        hidden = {name: self.hashed(features[name]) for name in self.columns if features.get(name) is not None}
        return {**features, **hidden} if hidden else features

    def kept(self, row: PredictionRow) -> PredictionRow:
        """A row as the log may have it."""
        if not self.columns:
            return row
        features = self.features(_decode(row.features))
        return row._replace(features=json_text(features), unit=self.unit_of(row.unit))

    def unit_of(self, unit: str | None) -> str | None:
        """The unit as it is kept: hashed where its column is private. Assignment uses the one that came."""
        return self.hashed(unit) if self.unit and unit is not None else unit

    def hashed(self, value: Json) -> str:
        """32 hex digits of keyed blake2b over the value's JSON."""
        text = json.dumps(value, sort_keys=True, ensure_ascii=False)
        return blake2b(text.encode(), digest_size=16, key=self.salt).hexdigest()


def privacy(columns: Collection[str], unit: str, store: Path) -> Privacy:
    """What `task.private` asks for. The salt is made once, in the store's folder, for its owner's eyes."""
    if not columns:
        return Privacy()
    return Privacy(tuple(columns), _project_salt(store / SALT_FILE), bool(unit) and unit in columns)


class Writer:
    """Writes down what was answered. A batch is whatever was answered while the last one was being written.

    Rows with ids of our own go one way (`Log.append_new`), rows with ids of clients another (`append_rows`, which looks
    whether they are there), and neither waits for the other. `log.prompt` says that both may be called from the loop;
    when another process holds the log, or where it is not prompt, a thread writes and waits.

    `durability` commit: an answer leaves when its rows are committed; fsync: when they are on the disk, one flush for
    all that were committed meanwhile; behind: at once, and its rows follow within BEHIND_S. `settled` hears of each
    Asked, on the loop, with `error` set where its rows could not be kept; `committed` of the seconds of each append.
    """

    def __init__(
        self,
        log: Log,
        durability: str,
        private: Privacy,
        settled: Callable[[list[Asked]], None],
        committed: Callable[[float], None],
    ) -> None:
        self.lost_rows = 0
        self._count = committed
        self._log, self._durability, self._private, self._settled = log, durability, private, settled
        self._own, self._others = _Line(log.append_new), _Line(log.append_rows)
        self._committed: list[Asked] = []
        self._behind: list[PredictionRow] = []
        self._syncing = self._following = False
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="incumbent-log")

    @property
    def idle(self) -> bool:
        """Is everything written that was given?"""
        lines = (self._own, self._others)
        return not (self._committed or self._syncing or self._following or any(x.waiting or x.busy for x in lines))

    def write(self, answered: list[Asked]) -> None:
        """Keep rows that were answered."""
        own = self._own.waiting
        for asked in answered:
            if asked.made:
                own.append(asked)
            else:
                self._others.waiting.append(asked)
        if own and self._durability == "behind":
            self._own.waiting = []
            self._follow_later(own)
        for line in (self._own, self._others):
            if line.waiting and not line.busy:
                self._write(line)

    def close(self) -> None:
        """Write what is behind, and give back the threads."""
        self._threads.shutdown(wait=True)
        if self._behind:
            self._log.append_new(self._behind)
            self._behind = []

    def _write(self, line: "_Line") -> None:
        batch, line.waiting = line.waiting, []
        rows = self._rows(batch)
        if self._log.prompt:
            started = perf_counter()
            try:
                line.append(rows, 0.0)
            except StoreLocked:
                pass  # another process writes: a thread waits for it
            except Exception as error:
                self._not_kept(line, batch, error)
                return
            else:
                self._count(perf_counter() - started)
                self._kept(batch)
                return
        line.busy = True
        self._in_thread(self._append, (line, rows), lambda error: self._written(line, batch, error))

    def _written(self, line: "_Line", batch: list[Asked], error: Exception | None) -> None:
        line.busy = False
        if error is None:
            self._kept(batch)
        else:
            self._not_kept(line, batch, error)
        if line.waiting and not line.busy:
            self._write(line)

    def _append(self, line: "_Line", rows: list[PredictionRow]) -> None:
        started = perf_counter()
        line.append(rows, None)
        self._count(perf_counter() - started)

    def _kept(self, batch: list[Asked]) -> None:
        if self._durability != "fsync":
            self._settled(batch)
            return
        self._committed += batch
        if not self._syncing:
            self._sync()

    def _sync(self) -> None:
        batch, self._committed = self._committed, []
        self._syncing = True
        self._in_thread(self._log.sync, (), lambda error: self._synced(batch, error))

    def _synced(self, batch: list[Asked], error: Exception | None) -> None:
        self._syncing = False
        for asked in batch:
            asked.error = asked.error or error
        self._settled(batch)
        if self._committed and not self._syncing:
            self._sync()

    def _not_kept(self, line: "_Line", batch: list[Asked], error: Exception) -> None:
        """Nothing was kept. An id that came before, or a value that no store keeps, is one caller's: whose?"""
        if not isinstance(error, DataError):
            for asked in batch:
                asked.error = error
            self._settled(batch)
            return
        line.busy = True
        self._in_thread(self._each, (batch,), lambda error: self._written(line, batch, error))

    def _each(self, batch: list[Asked]) -> None:
        for asked in batch:
            try:
                keep_again(self._log, asked, self._private)
            except IncumbentError as error:
                asked.error = error

    def _follow_later(self, own: list[Asked]) -> None:
        """Answer now, and write soon: many rows at once."""
        self._behind += self._rows(own)
        self._settled(own)
        if not self._following:
            self._following = True
            asyncio.get_running_loop().call_later(BEHIND_S, self._follow)

    def _follow(self) -> None:
        rows, self._behind = self._behind, []
        self._in_thread(self._append, (self._own, rows), lambda error: self._followed(rows, error))

    def _followed(self, rows: list[PredictionRow], error: Exception | None) -> None:
        if error is not None:
            _LOGGER.error("%d rows that were answered are not in the log yet: %s", len(rows), error)
            self._behind = rows + self._behind
            lost = max(0, len(self._behind) - MOST_BEHIND)
            self.lost_rows += lost
            del self._behind[:lost]
        self._following = bool(self._behind)
        if self._following:
            asyncio.get_running_loop().call_later(BEHIND_S if error is None else 1.0, self._follow)

    def _rows(self, batch: list[Asked]) -> list[PredictionRow]:
        rows = batch[0].rows if len(batch) == 1 else [row for asked in batch for row in asked.rows]
        return [self._private.kept(row) for row in rows] if self._private.columns else rows

    def _in_thread(
        self, work: Callable[..., None], arguments: tuple[Any, ...], then: Callable[[Exception | None], None]
    ) -> None:
        loop = asyncio.get_running_loop()

        def run() -> None:
            error: Exception | None = None
            try:
                work(*arguments)
            except Exception as found:
                error = found
            loop.call_soon_threadsafe(then, error)

        self._threads.submit(run)


class _Line:
    """One way into the log: what waits for it, and whether a thread writes."""

    __slots__ = ("append", "busy", "waiting")

    def __init__(self, append: Callable[[Sequence[PredictionRow], float | None], None]) -> None:
        self.append = append
        self.waiting: list[Asked] = []
        self.busy = False


def keep_again(log: Log, asked: Asked, private: Privacy) -> None:
    """Keep a request of which an id came before: what was logged is its answer, what was not is kept now.

    Raises IdReused for an id that came with other features, here or in the log: an answer cannot be changed.
    """
    features = [private.features(each) for each in asked.features()]
    first: dict[str, int] = {}
    for place, id in enumerate(asked.ids):
        first.setdefault(id, place)
    for _ in range(RACES):
        logged = log.find(asked.ids)
        _refuse_others(asked, features, {id: prediction.features for id, prediction in logged.items()})
        try:
            log.append_rows([private.kept(asked.rows[place]) for id, place in first.items() if id not in logged])
        except IdReused:
            continue  # another process answered the same id between the two calls: read the log again
        for place, id in enumerate(asked.ids):
            if id in logged:
                asked.rows[place], asked.outputs[place] = row_of(logged[id]), list(logged[id].output)
            else:
                asked.rows[place], asked.outputs[place] = asked.rows[first[id]], asked.outputs[first[id]]
        return
    raise StorageError("an id was answered by another process at the same time; send the request again")


def _refuse_others(asked: Asked, features: Sequence[Mapping[str, Json]], first: dict[str, Mapping[str, Json]]) -> None:
    for row, (id, mine) in enumerate(zip(asked.ids, features, strict=True)):
        if first.setdefault(id, mine) != mine:
            raise IdReused(
                f"row {row}: the id {id!r} came before with other features; "
                "expected the same ones (a retry), or an id of its own"
            )


def _project_salt(path: Path) -> bytes:
    """Read the salt, or make it; when two processes make it at once, both read the one that came first."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f"{SALT_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_SALT_BYTES))
            with suppress(FileExistsError):  # the other process was first: its salt is the project's
                os.link(draft, path)
            draft.unlink()
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"the salt of the private columns cannot be kept: {error.strerror}") from error
