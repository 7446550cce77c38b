"""What the SQL bodies share: the tables, and every statement but the hot insert, written once in SQLAlchemy Core.

    tables      what is kept, and the revision that this release reads
    making      the statements that make an empty store, and what a store of another revision hears
    upgrading   from an older revision to this one, by alembic (`migrations/`)
    session     a transaction, and statements compiled once for a dialect
    arrivals    what changes the Log        sums    what it adds up
    trials      running sums of a trial     pairs   of pairs, by block
    stepping    what a step of them reads, and what that changes
    log         `SqlLog`, method by method  ledger  `SqlLedger`

A body (`sqlite`, `postgres`) brings its `Database` (opening, transactions, errors, locks) and the hot insert. Stores
only sum and count integers, so both give the same bytes.
"""
