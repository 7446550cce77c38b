"""What the two SQLite files hold: their tables, and the version that a file is marked with.

A file of another version is refused (SchemaMismatch), never guessed at. Raise VERSION with every change of a table.

Four ideas make the Log quick. A prediction has a text id for the world and an integer (`arrival`) inside. Shadows
and losses lie clustered by (at, prediction), so that a range of time is read in one sweep. And an outcome says until
when it counted: it counts at a bound B when `known_at < B <= replaced_at`, where `replaced_at` is the smallest
`known_at` of the outcomes of its name that arrived after it. No past look ever needs more than that. And predictions
are tallied as they come, once a call, because an index to count them by would be written once a row.
"""

from dataclasses import dataclass

VERSION = 2
NEVER = 2**63 - 1
"""`replaced_at` of an outcome that still counts, and the bound of a look that has none."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The name of a file and the statements that make its tables."""

    file: str
    statements: tuple[str, ...]


LOG = Schema(
    "log.db",
    (
        """CREATE TABLE prediction (
            arrival INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            at INTEGER NOT NULL,
            unit TEXT,
            trial TEXT,
            phase INTEGER NOT NULL,
            arm TEXT,
            version TEXT NOT NULL,
            served_by TEXT NOT NULL,
            fallback_reason TEXT,
            propensity REAL NOT NULL,
            latency_us INTEGER NOT NULL,
            output BLOB NOT NULL,    -- little-endian doubles
            features TEXT NOT NULL   -- JSON
        )""",
        "CREATE INDEX prediction_at ON prediction (at)",
        """CREATE INDEX prediction_trial ON prediction (trial, phase, at, arm, unit, fallback_reason)
            WHERE trial IS NOT NULL""",
        """CREATE TABLE tally (      -- how many predictions there are
            served_by TEXT NOT NULL,
            fallback_reason TEXT NOT NULL,  -- empty: none
            rows INTEGER NOT NULL,
            PRIMARY KEY (served_by, fallback_reason)
        ) WITHOUT ROWID""",
        """CREATE TABLE shadow (
            at INTEGER NOT NULL,
            prediction INTEGER NOT NULL,
            version TEXT NOT NULL,
            output BLOB,
            error TEXT,
            latency_us INTEGER NOT NULL,
            PRIMARY KEY (at, prediction, version)
        ) WITHOUT ROWID""",
        """CREATE TABLE outcome (
            arrival INTEGER PRIMARY KEY,
            prediction INTEGER,      -- null while the prediction has not come
            id TEXT,                 -- only while the prediction has not come
            name TEXT NOT NULL,
            value TEXT NOT NULL,     -- JSON
            known_at INTEGER NOT NULL,
            replaced_at INTEGER NOT NULL
        )""",
        "CREATE INDEX outcome_prediction ON outcome (prediction, name, replaced_at)",
        "CREATE INDEX outcome_pending ON outcome (id) WHERE prediction IS NULL",
        """CREATE TABLE loss (
            at INTEGER NOT NULL,
            prediction INTEGER NOT NULL,
            version TEXT NOT NULL,
            outcome INTEGER NOT NULL,
            served INTEGER NOT NULL,
            known_at INTEGER NOT NULL,
            replaced_at INTEGER NOT NULL,
            loss INTEGER NOT NULL,   -- 1e-9 units
            PRIMARY KEY (at, prediction, version, outcome)
        ) WITHOUT ROWID""",
        """CREATE TABLE unscored (
            prediction INTEGER NOT NULL,
            version TEXT NOT NULL,
            PRIMARY KEY (prediction, version)
        ) WITHOUT ROWID""",
        """CREATE TABLE review (
            arrival INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            at INTEGER NOT NULL,
            version TEXT NOT NULL,
            reason TEXT NOT NULL,
            propensity REAL NOT NULL,
            policy TEXT NOT NULL,
            label TEXT,              -- JSON
            reviewer TEXT
        )""",
        "CREATE INDEX review_at ON review (at)",
    ),
)

LEDGER = Schema(
    "ledger.db",
    (
        """CREATE TABLE event (
            sequence INTEGER PRIMARY KEY,
            type TEXT NOT NULL,
            at INTEGER NOT NULL,
            recorded_at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            reason TEXT NOT NULL,
            data TEXT NOT NULL,      -- canonical JSON
            measured TEXT NOT NULL,  -- canonical JSON
            previous_hash TEXT NOT NULL,
            hash TEXT NOT NULL
        )""",
        "CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END",
        "CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END",
        """CREATE TABLE lease (
            name TEXT PRIMARY KEY,
            holder TEXT NOT NULL,
            until INTEGER NOT NULL   -- wall clock, microseconds
        ) WITHOUT ROWID""",
    ),
)
