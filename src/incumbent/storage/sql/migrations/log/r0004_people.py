"""What people said of rows: their responses, and what was decided where these differ."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nobody has said anything yet."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "response",
        sa.Column("arrival", number, primary_key=True),
        sa.Column("study", text, nullable=False),
        sa.Column("item", text, nullable=False),
        sa.Column("copy", sa.BigInteger, nullable=False),
        sa.Column("reviewer", text, nullable=False),
        sa.Column("value", text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("took_us", sa.BigInteger, nullable=False),
    )
    op.create_index("response_study", "response", ["study", "item", "copy", "reviewer"])
    op.create_table(
        "adjudication",
        sa.Column("arrival", number, primary_key=True),
        sa.Column("study", text, nullable=False),
        sa.Column("item", text, nullable=False),
        sa.Column("value", text, nullable=False),
        sa.Column("reviewer", text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("adjudication_study", "adjudication", ["study", "item"])
    for table in ("response", "adjudication"):
        op.create_index(f"{table}_item", table, ["item"])
        op.create_index(f"{table}_at", table, ["at"])
