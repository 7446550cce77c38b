"""One transaction of a SQL body, and how a statement that is written once becomes the text that its driver takes.

In: statements of SQLAlchemy Core and their parameters. Out: rows as tuples. A statement is compiled once a process and
dialect; after that a call costs what the driver costs (SQLAlchemy's own execution adds 190 us to a single commit).
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Executable
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles

from incumbent.records import Micros

Row = tuple[Any, ...]
Parameters = Mapping[str, Any]


class among(ColumnElement[Any]):
    """Is the column one of a list? One parameter holds the list, however long (`Statements.listed`)."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column, self.name = column, name


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: Any, **options: Any) -> str:
    return f"{compiler.process(element.column, **options)} IN (SELECT value FROM json_each(:{element.name}))"


@compiles(among, "postgresql")
def _among_postgres(element: among, compiler: Any, **options: Any) -> str:
    return f"{compiler.process(element.column, **options)} = ANY(%({element.name})s)"


class Driver(Protocol):
    """What both drivers' connections can do."""

    def execute(self, query: Any, parameters: Any = ..., /) -> Any:
        """A cursor with the result."""

    def cursor(self) -> Any:
        """A cursor, for `executemany`."""

    def close(self) -> None:
        """Give it back."""


class Statements:
    """Statements as the text of one dialect, compiled once; constants in them by name."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: dict[Executable, tuple[str, dict[str, Any]]] = {}

    def text(self, statement: Executable) -> tuple[str, dict[str, Any]]:
        """The text, and the constants in it by name."""
        found = self._compiled.get(statement)
        if found is None:
            compiled = statement.compile(dialect=self._dialect)  # type: ignore[attr-defined]
            constants = {name: value for name, value in compiled.params.items() if value is not None}
            found = self._compiled[statement] = (str(compiled), constants)
        return found


class Session:
    """Statements inside one transaction."""

    def __init__(self, driver: Driver, statements: Statements) -> None:
        self.driver = driver
        self._statements = statements

    def listed(self, values: Collection[Any]) -> Any:
        """The parameter of `among`."""
        raise NotImplementedError

    def compile(self, *statements: Executable) -> None:
        """Have their text ready, so that no lock is held meanwhile (the first time takes some milliseconds)."""
        for statement in statements:
            self._statements.text(statement)

    def rows(self, statement: Executable, **parameters: Any) -> list[Row]:
        """Every row of a SELECT."""
        text, constants = self._statements.text(statement)
        found: list[Row] = self.driver.execute(text, constants | parameters).fetchall()
        return found

    def row(self, statement: Executable, **parameters: Any) -> Row | None:
        """Its first row."""
        text, constants = self._statements.text(statement)
        found: Row | None = self.driver.execute(text, constants | parameters).fetchone()
        return found

    def run(self, statement: Executable, **parameters: Any) -> int:
        """Change rows; how many were."""
        text, constants = self._statements.text(statement)
        return int(self.driver.execute(text, constants | parameters).rowcount)

    def run_all(self, statement: Executable, parameters: Sequence[Parameters]) -> None:
        """Change rows, once for each of the parameters."""
        if parameters:
            text, constants = self._statements.text(statement)
            self.driver.cursor().executemany(text, [constants | dict(each) for each in parameters])


class Database(Protocol):
    """What a body opens: one place with its transactions, locks and errors."""

    @property
    def place(self) -> str:
        """Where it is, as an error may say it: a path, or an address without its password."""

    def writing(self, wait_s: float | None = None, alone: bool = False) -> AbstractContextManager[Session]:
        """A transaction: committed at the end of the block, undone when anything is raised inside. Waits for others at
        most `wait_s` (None: `store.lock_timeout_s`). `alone`: no other transaction that writes runs beside it."""

    def reading(self) -> AbstractContextManager[Session]:
        """One unchanging view for the length of the block; writers do not wait for it."""

    def settled(self, statement: Executable) -> Row:
        """The one row of a SELECT, returned when whoever was writing at that moment has ended: rows that are committed
        after this call have larger numbers (`arrival`) than every row that it saw. Nobody waits for it."""

    def now(self, session: Session) -> Micros:
        """The wall clock that all users of this store share."""

    def sync(self) -> None:
        """What was committed before this call survives a power cut."""

    def give_back(self) -> None:
        """Give space that is not needed any more back to the system, beside the traffic, as far as that goes."""

    def scrub(self) -> None:
        """Leave no byte of what was deleted."""

    def close(self) -> None:
        """Give back files and connections. Twice is fine."""
