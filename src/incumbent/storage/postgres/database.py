"""One part (`log` or `ledger`) in a schema of PostgreSQL: how it is opened, written and read.

In: a URL, a schema, the [store] settings. Out: sessions inside `writing()` and `reading()`. Every error of the driver
becomes one of ours here, and only here; a password is never in it. Knows no table.

Writers take an advisory lock: most share it; whoever must be `alone` (outcomes, events) does not. A connection that
the server closed is noticed before it is used, so calls go through again as soon as the server is back.
"""

import select
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, NoReturn

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.psycopg import dialect

from incumbent.config import Store
from incumbent.errors import DataError, IncumbentError, StorageError, StoreDamaged, StoreFull, StoreLocked
from incumbent.records import Micros
from incumbent.storage.sql import making
from incumbent.storage.sql.session import Row, Session, Statements

Connection = psycopg.Connection[Any]

DIALECT = dialect()  # type: ignore[no-untyped-call]
_STATEMENTS = Statements(DIALECT)

_VIEW = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SESSION = "SET search_path TO {}; SET join_collapse_limit = 1"
"""Joins in the order in which they are written: before the server has statistics of a young log it began at the wrong
end, and outcomes cost 0.8 ms a row in place of 0.04."""
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_HOLDERS = """SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid::bigint = %(high)s AND objid::bigint = %(low)s
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_LOOK_S = 0.002
_DEAD_AFTER_S = 10
"""A server that does not even confirm what was sent to it is given up after this many seconds."""


class PostgresSession(Session):
    """Statements inside one transaction of a connection."""

    def listed(self, values: Collection[Any]) -> list[Any]:
        return list(values)


class Database:
    """A schema of a database. Threads may share it; so may processes and machines, each with its own Database."""

    def __init__(self, url: str, schema: str, part: str, store: Store, made: bool = True) -> None:
        """Connect, and (where it is to be `made`) make the tables where they are not there, all or none.

        Raises SchemaMismatch for another revision, and StorageError for a server that is not there, refuses the
        password, has no such database, or does not allow what is needed.
        """
        self._url, self._schema, self._part, self._store = url, schema, part, store
        self.place, self._secret = _described(url, schema)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        self.key = int.from_bytes(sha256(f"incumbent {part} {schema}".encode()).digest()[:8], "big", signed=True)
        if made:
            self._make()

    @contextmanager
    def writing(self, wait_s: float | None = None, alone: bool = False) -> Iterator[PostgresSession]:
        """A transaction: committed at the end of the block, undone when anything is raised inside."""
        with self.connected() as connection:
            try:
                connection.execute(self.begin(wait_s, alone))
                yield PostgresSession(connection, _STATEMENTS)
                connection.execute("COMMIT")
            except BaseException as error:
                self.undo(connection)
                self.raise_ours(error, wait_s)

    @contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        """One unchanging view for the length of the block; writers do not wait for it."""
        with self.connected() as connection:
            try:
                connection.execute(_VIEW)
                yield PostgresSession(connection, _STATEMENTS)
                connection.execute("COMMIT")  # after a ROLLBACK the driver prepares its statements anew
            except BaseException as error:
                self.undo(connection)
                self.raise_ours(error)

    def begin(self, wait_s: float | None, alone: bool) -> str:
        """What begins a transaction that writes, and takes the lock."""
        wait_ms = max(1, int((self._store.lock_timeout_s if wait_s is None else wait_s) * 1000))  # 0 would be for ever
        shared = "" if alone else "_shared"
        return f"BEGIN; SET LOCAL lock_timeout = {wait_ms}; SELECT pg_advisory_xact_lock{shared}({self.key})"

    def undo(self, connection: Connection) -> None:
        """Leave no transaction open."""
        with suppress(psycopg.Error):
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK")

    def settled(self, statement: Executable) -> Row:
        """A row gets its number before it is committed, and a later number may be committed first. So look, after the
        reading, who holds the writers' lock, and wait for those; who begins later gets later numbers. (To ask for the
        lock would be simpler, and hold up everybody who asks after us.)"""
        with self.reading() as session:
            (found,) = session.rows(statement)
        deadline = time.monotonic() + self.patience_s()
        writing = self._writing()
        while writing:
            if time.monotonic() > deadline:
                raise _locked(self, "it has written since before this call", None)
            time.sleep(_LOOK_S)
            writing &= self._writing()
        return found

    def _writing(self) -> set[str]:
        """The transactions that write at this moment."""
        with self.reading() as session:
            key = self.key % 2**64
            held = session.driver.execute(_HOLDERS, {"high": key >> 32, "low": key & 0xFFFFFFFF})
            return {transaction for (transaction,) in held.fetchall()}

    def now(self, session: Session) -> Micros:
        """The server's clock: the machines that share it may have different ones."""
        return int(session.driver.execute(_NOW).fetchone()[0])

    def sync(self) -> None:
        """The server has flushed every commit that it acknowledged."""

    def give_back(self) -> None:
        """The server's autovacuum makes space free for new rows; it keeps the files."""

    def scrub(self) -> None:
        """Write the tables anew. The server's WAL and its backups are the server's."""
        with self.connected() as connection:
            try:
                wait_ms = max(1, int(self.patience_s() * 1000))
                connection.execute(f"SET lock_timeout = {wait_ms}")
                for table in making.table_names(self._part):
                    connection.execute(f"VACUUM (FULL) {table}")
                connection.execute("RESET lock_timeout")
            except BaseException as error:
                self.undo(connection)
                self.raise_ours(error)

    def close(self) -> None:
        """Give back the connections. Twice is fine; a call that is under way gives its own back when it ends."""
        self._closed = True
        self._close_idle()

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection that is alive, for the length of the block."""
        if self._closed:
            raise StorageError(f"{self.place} was closed; open it again.")
        connection = self._living() or self._connect()
        try:
            yield connection
        finally:
            if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.close()
            else:
                with self._lock:
                    self._idle.append(connection)
            if self._closed:
                self._close_idle()

    def raise_ours(self, error: BaseException, wait_s: float | None = None) -> NoReturn:
        """Raise the error of this package that an error of the driver stands for; any other as it is."""
        ours = self._ours(error, wait_s)
        if ours is error:
            raise error
        raise ours from (None if self._secret and self._secret in str(error) else error)

    def _living(self) -> Connection | None:
        """An idle connection. The server says good-bye to one that it closes: then there is something to read."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            try:
                poll = select.poll()
                poll.register(connection.fileno(), select.POLLIN)
                if not poll.poll(0):
                    return connection
            except (OSError, psycopg.Error):
                pass
            connection.close()

    def _connect(self) -> Connection:
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=max(2, int(self._store.lock_timeout_s)),
                tcp_user_timeout=_DEAD_AFTER_S * 1000,
                keepalives_idle=_DEAD_AFTER_S,
                application_name="incumbent",
            )
        except (psycopg.Error, UnicodeError) as error:
            raise _unreachable(self, error) from None  # the driver's own text may hold the URL
        try:
            connection.execute(sql.SQL(_SESSION).format(sql.Identifier(self._schema)))
            return connection
        except BaseException as error:
            connection.close()
            self.raise_ours(error)

    def _make(self) -> None:
        """Make the schema and the tables where there are none; refuse those of another revision."""
        try:
            with self.connected() as connection:
                found = self.revision(connection)
                if found == "":
                    found = self._made(connection)
            making.check(self.place, self._part, found)
        except BaseException as error:
            self._closed = True
            self._close_idle()
            self.raise_ours(error)

    def _made(self, connection: Connection) -> str | None:
        try:
            connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({self.key})")
            # Only where it is not there: `IF NOT EXISTS` asks for the right to make one even then.
            there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self._schema]).fetchone()
            if there is None:
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self._schema)))
            found = self.revision(connection)
            if found == "":  # nobody was quicker
                for statement in making.statements(self._part, DIALECT):
                    connection.execute(statement)
                found = self.revision(connection)
            connection.execute("COMMIT")
            return found
        finally:
            self.undo(connection)

    def revision(self, connection: Any) -> str | None:
        """The revision of this part: empty where there is none of its tables, None where somebody else's are."""
        wanted = list(making.table_names(self._part))
        found = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename = ANY(%s)", [self._schema, wanted]
        ).fetchall()
        if (f"{self._part}_version",) not in found:
            return None if found else ""
        row = connection.execute(making.revision_query(self._part)).fetchone()
        return None if row is None else str(row[0])

    def _close_idle(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _ours(self, error: BaseException, wait_s: float | None) -> BaseException:
        if isinstance(error, OverflowError | UnicodeEncodeError):
            return DataError(f"a value that no store can keep: {error}; expected 64-bit integers and valid Unicode.")
        if isinstance(error, psycopg.DataError):
            return DataError(f"a value that no store can keep: {self.shown(error)}; expected 64-bit integers and text "
                             "without NUL characters.")  # fmt: skip
        if not isinstance(error, psycopg.Error):
            return error
        if error.sqlstate in ("55P03", "40P01"):
            return _locked(self, error, wait_s)
        return next((make for code, make in _BY_STATE.items() if (error.sqlstate or "").startswith(code)), _failed)(
            self, error
        )

    def shown(self, error: BaseException) -> str:
        """The first line of what the driver said, without the password."""
        text = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return text.replace(self._secret, "***") if self._secret else text

    def patience_s(self) -> float:
        """Seconds that a call waits for others where it does not say."""
        return self._store.lock_timeout_s


def _described(url: str, schema: str) -> tuple[str, str]:
    """Where it is, as an error may say it, and the password, which it may not."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        raise StorageError(
            "store.url cannot be read (it is not shown, because it may hold a password); expected "
            "postgresql://user:password@host:port/database"
        ) from None
    where = ":".join(str(parts[key]) for key in ("host", "port") if parts.get(key)) or "this machine"
    return f"PostgreSQL ({parts.get('dbname') or 'the default database'} on {where}, schema {schema})", str(
        parts.get("password") or ""
    )


def _unreachable(database: Database, error: BaseException) -> IncumbentError:
    return StorageError(
        f"{database.place} cannot be reached: {database.shown(error)}. Expected a server that is running and takes "
        "this user and password; look at store.url."
    )


def _locked(database: Database, error: psycopg.Error | str, wait_s: float | None) -> IncumbentError:
    if wait_s == 0:
        return StoreLocked(f"{database.place} is being written to by another, and this call may not wait.")
    said = error if isinstance(error, str) else database.shown(error)
    waited = f"store.lock_timeout_s = {database.patience_s():g}" if wait_s is None else f"{wait_s:g}"
    return StoreLocked(
        f"{database.place} was held by another transaction for longer than {waited} s ({said}). Look "
        "which one it is, or wait longer."
    )


def _full(database: Database, error: psycopg.Error) -> IncumbentError:
    return StoreFull(
        f"{database.place} has no space left ({database.shown(error)}); nothing of this call was kept, what was "
        "acknowledged stays. Free some space."
    )


def _damaged(database: Database, error: psycopg.Error) -> IncumbentError:
    return StoreDamaged(f"{database.place} is damaged ({database.shown(error)}). Bring it back from a backup.")


def _forbidden(database: Database, error: psycopg.Error) -> IncumbentError:
    return StorageError(
        f"{database.place} does not allow this user what is needed ({database.shown(error)}); expected the right to "
        "make the schema, or a schema that this user owns."
    )


def _failed(database: Database, error: psycopg.Error) -> IncumbentError:
    return StorageError(f"{database.place} failed: {database.shown(error)}")


_BY_STATE: dict[str, Callable[[Database, psycopg.Error], IncumbentError]] = {
    "53100": _full,
    "XX001": _damaged,
    "XX002": _damaged,
    "42501": _forbidden,
    "3F000": _forbidden,  # a schema that it may not use is as good as none
}
