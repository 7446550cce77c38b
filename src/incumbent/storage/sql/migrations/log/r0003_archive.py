"""The features of old days may lie in Parquet files."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Nothing lies there yet."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.add_column("prediction", sa.Column("archived", sa.BigInteger))
    op.create_table(
        "archive",
        sa.Column("number", number, primary_key=True),
        sa.Column("file", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False, unique=True),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("emptied", sa.Integer, nullable=False),
    )
