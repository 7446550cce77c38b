"""What the Log and the Ledger hold: the tables of every SQL body, declared once.

Out: two MetaData (`LOG`, `LEDGER`) and, for each, the revision that this release reads and writes (`REVISIONS`).
A change of a table is a new revision: a file in `migrations/`, and its number here; a test compares them.

Four ideas make the Log quick. A prediction has a text id for the world and an integer (`arrival`) inside. Shadows
and losses lie clustered by (at, prediction), so that a range of time is read in one sweep. And an outcome says until
when it counted: it counts at a bound B when `known_at < B <= replaced_at`, where `replaced_at` is the smallest
`known_at` of the outcomes of its name that arrived after it. No past look ever needs more than that. And predictions
are tallied as they come, once a call, because an index to count them by would be written once a row. The features of
old days, four fifths of the bytes, lie in Parquet files: `prediction.archived` says in which.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, Table, text
from sqlalchemy import Text as SqlText

NEVER = 2**63 - 1
"""`replaced_at` of an outcome that still counts, and the bound of a look that has none."""
LABEL = "label"
"""The outcome that losses are computed from."""

# SQLite numbers rows by itself where the key is spelt INTEGER. Text is compared byte by byte, as SQLite does.
Arrival = BigInteger().with_variant(Integer(), "sqlite")
Text = SqlText().with_variant(SqlText(collation="C"), "postgresql")

LOG = MetaData()
LEDGER = MetaData()

REVISIONS = {"log": "0005", "ledger": "0001"}
"""The revision of each that this release reads and writes. The revision 0001 is that of the first release."""
METADATA = {"log": LOG, "ledger": LEDGER}


def _partial(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


prediction = Table(
    "prediction",
    LOG,
    Column("arrival", Arrival, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("unit", Text),
    Column("trial", Text),
    Column("phase", BigInteger, nullable=False),
    Column("arm", Text),
    Column("version", Text, nullable=False),
    Column("served_by", Text, nullable=False),
    Column("fallback_reason", Text),
    Column("propensity", Double, nullable=False),
    Column("latency_us", BigInteger, nullable=False),
    Column("output", LargeBinary, nullable=False),  # little-endian doubles
    Column("features", Text, nullable=False),  # JSON; empty where they lie in a file
    Column("archived", BigInteger),  # which file
    Index("prediction_at", "at"),
    Index(
        "prediction_trial", "trial", "phase", "at", "arm", "unit", "fallback_reason", **_partial("trial IS NOT NULL")
    ),
)

archive = Table(
    "archive",
    LOG,
    Column("number", Arrival, primary_key=True),
    Column("file", Text, nullable=False, unique=True),  # of Parquet, below the folder `days`
    Column("until", BigInteger, nullable=False),  # every row in it is older
    Column("emptied", Integer, nullable=False),  # 1: no row of it has its features in two places any more
)

tally = Table(
    "tally",
    LOG,
    Column("slot", BigInteger, primary_key=True),  # writers that share no slot do not wait for each other
    Column("served_by", Text, primary_key=True),
    Column("fallback_reason", Text, primary_key=True),  # empty: none
    Column("rows", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

shadow = Table(
    "shadow",
    LOG,
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("prediction", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Text, primary_key=True),
    Column("output", LargeBinary),
    Column("error", Text),
    Column("latency_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

outcome = Table(
    "outcome",
    LOG,
    Column("arrival", Arrival, primary_key=True),
    Column("prediction", BigInteger),  # null while the prediction has not come
    Column("id", Text),  # only while the prediction has not come
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),  # JSON
    Column("known_at", BigInteger, nullable=False),
    Column("replaced_at", BigInteger, nullable=False),
    Index("outcome_prediction", "prediction", "name", "replaced_at"),
    Index("outcome_pending", "id", **_partial("prediction IS NULL")),
)

loss = Table(
    "loss",
    LOG,
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("prediction", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Text, primary_key=True),
    Column("outcome", BigInteger, primary_key=True, autoincrement=False),
    Column("served", Integer, nullable=False),  # 1: by the version that answered
    Column("known_at", BigInteger, nullable=False),
    Column("replaced_at", BigInteger, nullable=False),
    Column("loss", BigInteger, nullable=False),  # 1e-9 units
    sqlite_with_rowid=False,
)

unscored = Table(
    "unscored",
    LOG,
    Column("prediction", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Text, primary_key=True),
    sqlite_with_rowid=False,
)

review = Table(
    "review",
    LOG,
    Column("arrival", Arrival, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("propensity", Double, nullable=False),
    Column("policy", Text, nullable=False),
    Column("label", Text),  # JSON
    Column("reviewer", Text),
    Index("review_at", "at"),
)

# What people said: two tables, because an answer that was given blind and a decision that was taken with the answers in
# view are not the same kind of fact.
response = Table(
    "response",
    LOG,
    Column("arrival", Arrival, primary_key=True),
    Column("study", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("copy", BigInteger, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("value", Text),  # JSON; null: could not tell
    Column("at", BigInteger, nullable=False),
    Column("took_us", BigInteger, nullable=False),
    Index("response_study", "study", "item", "copy", "reviewer"),
    Index("response_item", "item"),
    Index("response_at", "at"),
)

adjudication = Table(
    "adjudication",
    LOG,
    Column("arrival", Arrival, primary_key=True),
    Column("study", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("value", Text, nullable=False),  # JSON
    Column("reviewer", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("adjudication_study", "study", "item"),
    Index("adjudication_item", "item"),
    Index("adjudication_at", "at"),
)

# What was added up of a trial so far (`storage.sql.trials`, `storage.sql.pairs`): nothing here is a fact, all of it can
# be added up again. Whoever answers writes none of it.
trial_sum = Table(
    "trial_sum",
    LOG,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("plan", Text, nullable=False, unique=True),  # sha256 of all that it depends on
    Column("trial", Text, nullable=False),
    Column("phase", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),  # rows from here up to `until` tell of units before the trial
    Column("until", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),  # whoever changes it must have read the last one
    Column("state", Text, nullable=False),  # JSON: integers of any size
)

trial_unit = Table(
    "trial_unit",
    LOG,
    Column("sum", BigInteger, primary_key=True, autoincrement=False),
    Column("unit", Text, primary_key=True),
    Column("state", Text, nullable=False),  # JSON
    sqlite_with_rowid=False,
)

pair_sum = Table(
    "pair_sum",
    LOG,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("plan", Text, nullable=False, unique=True),
    Column("block", BigInteger, nullable=False),
    Column("moved", BigInteger, nullable=False),  # the offset
    Column("first", BigInteger, nullable=False),  # the first block that was read
)

pair_block = Table(
    "pair_block",
    LOG,
    Column("sum", BigInteger, primary_key=True, autoincrement=False),
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("touched", BigInteger, nullable=False),  # how many times a loss in it changed
    Column("state", Text),  # JSON; null: to be read again
    sqlite_with_rowid=False,
)

event = Table(
    "event",
    LEDGER,
    Column("sequence", Arrival, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("data", Text, nullable=False),  # canonical JSON
    Column("measured", Text, nullable=False),  # canonical JSON
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

lease = Table(
    "lease",
    LEDGER,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", BigInteger, nullable=False),  # wall clock of the store, microseconds
    sqlite_with_rowid=False,
)
