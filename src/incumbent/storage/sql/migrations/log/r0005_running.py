"""Running sums of trials, and of pairs of versions by block."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nothing was added up yet."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "trial_sum",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("plan", text, nullable=False, unique=True),
        sa.Column("trial", text, nullable=False),
        sa.Column("phase", sa.BigInteger, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("state", text, nullable=False),
    )
    op.create_table(
        "trial_unit",
        sa.Column("sum", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("unit", text, primary_key=True),
        sa.Column("state", text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pair_sum",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("plan", text, nullable=False, unique=True),
        sa.Column("block", sa.BigInteger, nullable=False),
        sa.Column("moved", sa.BigInteger, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "pair_block",
        sa.Column("sum", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("block", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("touched", sa.BigInteger, nullable=False),
        sa.Column("state", text),
        sqlite_with_rowid=False,
    )
