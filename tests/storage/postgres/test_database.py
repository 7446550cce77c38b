"""How a PostgreSQL schema is opened and shared, what its errors become, and that it survives its server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from incumbent.checks.storage.children import at_once, open_together
from incumbent.checks.storage.opened import InSchema, labels, learnt, predicted, schema_of, score
from incumbent.config import Config, Store, Task
from incumbent.errors import DataError, IncumbentError, SchemaMismatch, StorageError, StoreLocked
from incumbent.storage.base import Log
from incumbent.storage.opening import open_facts
from incumbent.storage.postgres import open_ledger, open_log

IMPATIENT = Store(lock_timeout_s=0.05)
PASSWORD = "s3cret/pass"


@pytest.fixture
def log(server: Any, tmp_path: Path) -> Iterator[Log]:
    """A log that waits 50 ms for another transaction."""
    log = InSchema(open_log, server.url, IMPATIENT)(tmp_path)
    yield log
    log.close()


def tables(url: str, schema: str) -> set[str]:
    """What is in a schema."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        return {name for (name,) in found}


def test_the_project_is_kept_in_its_schema(server: Any, tmp_path: Path) -> None:
    """Log and ledger in the database, blobs in the folder; two projects do not see each other."""
    task = Task(name="Late flights!", kind="binary", target="late", metric="brier")
    config = Config(task=task, store=Store(url=server.url), folder=tmp_path)
    assert config.store_schema == "incumbent_late_flights"
    for name in ("Late flights!", "other"):
        with open_facts(replace(config, task=replace(task, name=name))) as facts:
            facts.log.append([predicted("a")])
            facts.ledger.append("Noted", at=0, actor="a", reason="b")
            assert (facts.log.totals().predictions, facts.ledger.sequence()) == (1, 1)
            assert facts.log.prompt is False
    assert [path.name for path in (tmp_path / ".incumbent").iterdir()] == ["blobs"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong-word"}, "password authentication failed"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"port": 1}, "cannot be reached"),
    ],
)
def test_a_server_that_cannot_be_used(server: Any, change: dict[str, Any], said: str) -> None:
    """Says why and what to do, and never the password."""
    given = {"password": PASSWORD, "database": "postgres", "port": server.port} | change
    url = f"postgresql://owner:{quote(given['password'], safe='')}@127.0.0.1:{given['port']}/{given['database']}"
    with pytest.raises(StorageError, match=said) as caught:
        open_log(url, "some", IMPATIENT)
    assert "store.url" in str(caught.value)
    for secret in (given["password"], quote(given["password"], safe="")):
        assert secret not in str(caught.value) and caught.value.__cause__ is None


def test_a_url_that_cannot_be_read_is_not_shown() -> None:
    """It may hold a password."""
    with pytest.raises(StorageError, match=r"expected postgresql://") as caught:
        open_log("postgresql://owner:secret@host:port with spaces/x", "some", IMPATIENT)
    assert "secret" not in str(caught.value)


@contextmanager
def guest(server: Any) -> Iterator[str]:
    """The URL of a user who may do nothing but connect."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        try:
            yield server.url.replace("owner:s3cret%2Fpass", "guest:guest")
        finally:
            connection.execute("DROP OWNED BY guest")
            connection.execute("DROP ROLE guest")


def test_a_user_without_rights(server: Any, log: Log, tmp_path: Path) -> None:
    """May make no schema, and may not read another's; nothing is half-made."""
    with guest(server) as url:
        for schema in ("guests", schema_of(tmp_path)):
            with pytest.raises(StorageError, match="does not allow"):
                open_ledger(url, schema, IMPATIENT)
    assert tables(server.url, "guests") == set()
    assert "event" not in tables(server.url, schema_of(tmp_path))


def test_somebody_elses_tables_are_refused(server: Any) -> None:
    """A table of our name that we did not make; nothing is added."""
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE SCHEMA theirs")
        connection.execute("CREATE TABLE theirs.review (x int)")
    with pytest.raises(SchemaMismatch, match="did not make"):
        open_log(server.url, "theirs", IMPATIENT)
    assert tables(server.url, "theirs") == {"review"}


def test_many_may_make_the_schema_at_once(server: Any, tmp_path: Path) -> None:
    """Four processes open a new schema at the same moment, ten times: each of them can."""
    barrier = get_context("spawn").Barrier(4)
    at_once(open_together, *[(InSchema(open_log, server.url), tmp_path, 10, barrier)] * 4)


def test_a_text_with_a_nul_character_is_refused(log: Log) -> None:
    """PostgreSQL keeps none; nothing of the call is kept, and the log goes on."""
    with pytest.raises(DataError, match="NUL"):
        log.append([predicted("a"), predicted("b", unit="u\0")])
    log.append([predicted("a")])
    assert log.totals().predictions == 1


def test_outcomes_wait_for_predictions_that_are_on_their_way(server: Any, log: Log, tmp_path: Path) -> None:
    """And the other way round: else the two could miss each other."""
    with psycopg.connect(server.url) as other:
        other.execute(f"SET search_path TO {schema_of(tmp_path)}")
        other.execute(f"SELECT pg_advisory_xact_lock_shared({log._database.key})")  # type: ignore[attr-defined]
        log.append([predicted("a")])
        with pytest.raises(StoreLocked, match=r"lock_timeout_s = 0\.05"):
            log.append_outcomes([learnt("a")])


def test_predictions_and_outcomes_that_come_at_once_meet(server: Any, tmp_path: Path) -> None:
    """Each outcome is sent at the moment of its prediction, from another thread: none stays pending."""
    log = InSchema(open_log, server.url)(tmp_path)
    ids = [f"{n}" for n in range(150)]
    with ThreadPoolExecutor(2) as pool:
        for id in ids:
            both = [pool.submit(log.append, [predicted(id)]), pool.submit(log.append_outcomes, [learnt(id)])]
            for each in both:
                each.result()
    assert (log.totals().outcomes, log.totals().pending, len(log.unscored())) == (150, 0, 150)
    log.close()


def test_a_server_that_stops_in_the_middle(server: Any, tmp_path: Path) -> None:
    """Traffic hears StorageError at once while it is away, and goes through again when it is back, by itself; every
    acknowledged row is there, once."""
    opener = InSchema(open_log, server.url)
    log, ledger = opener(tmp_path), InSchema(open_ledger, server.url)(tmp_path)
    kept: list[str] = []
    refused: list[tuple[float, IncumbentError]] = []
    over, begun = Event(), Event()

    def traffic(name: str) -> None:
        n = 0
        while not over.is_set():
            n += 1
            began = monotonic()
            try:
                log.append([predicted(f"{name} {n}")])
                kept.append(f"{name} {n}")
                begun.set()
            except IncumbentError as error:
                refused.append((monotonic() - began, error))

    with ThreadPoolExecutor(3) as pool:
        threads = [pool.submit(traffic, name) for name in "abc"]
        try:
            assert begun.wait(30)
            server.stop()
            with pytest.raises(StorageError):
                ledger.sequence()
            server.start()
            deadline, before = monotonic() + 30, len(kept)
            while len(kept) < before + 100 and monotonic() < deadline:
                assert ledger.sequence() == 0
        finally:
            over.set()
        for each in threads:
            each.result(60)
    assert refused and max(took for took, _ in refused) < 5
    assert all(type(error) is StorageError and PASSWORD not in str(error) for _, error in refused)
    assert len(kept) >= before + 100
    found = labels(log)
    assert set(kept) <= set(found) and len(found) == log.totals().predictions
    score(log)
    log.close()
    ledger.close()


def test_an_idle_connection_that_died_is_not_used(server: Any, log: Log) -> None:
    """The server was restarted between two calls: the next one goes through."""
    log.append([predicted("a")])
    server.stop()
    server.start()
    log.append([predicted("b")])
    assert log.totals().predictions == 2


def test_connections_are_given_back(server: Any, tmp_path: Path) -> None:
    """After closing, the server knows none of ours."""
    log = InSchema(partial(open_log), server.url)(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: log.append([predicted(f"{n}")]), range(20)))
    pids = {connection.info.backend_pid for connection in log._database._idle}  # type: ignore[attr-defined]
    log.close()
    with psycopg.connect(server.url, autocommit=True) as connection:
        deadline = monotonic() + 30
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'incumbent'"
        while pids & {pid for (pid,) in connection.execute(query)}:
            assert monotonic() < deadline
