"""What changes an older store, in the order of its revisions: a folder a part, read by alembic (`sql.upgrading`)."""
