"""Predictions are tallied as they come; the index that they were counted by goes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Count once what is there."""
    op.create_table(
        "tally",
        sa.Column("slot", sa.BigInteger, primary_key=True),
        sa.Column("served_by", sa.Text, primary_key=True),
        sa.Column("fallback_reason", sa.Text, primary_key=True),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        """INSERT INTO tally (slot, served_by, fallback_reason, rows)
        SELECT 0, served_by, coalesce(fallback_reason, ''), count(*) FROM prediction GROUP BY 2, 3"""
    )
    op.drop_index("prediction_served", "prediction")
