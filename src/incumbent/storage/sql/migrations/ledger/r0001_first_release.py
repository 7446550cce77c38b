"""The ledger as the first release made it: marked, never run, because every new one is made at the latest revision."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """It is there already."""
