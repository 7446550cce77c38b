"""Does one version take every row that another one takes?

In: two signatures. Out: what stands against it, in words; nothing where rows that passed the one can be read in the
other. Columns are found by name, so their order does not matter, and what the other does not know is left out.
"""

from incumbent.records import Column, ColumnType, Signature

WIDER: frozenset[tuple[ColumnType, ColumnType]] = frozenset({("integer", "number"), ("integer", "timestamp")})
"""A column of the first type holds only values that one of the second type takes (docs/values.md)."""


def refused(ours: Signature, theirs: Signature) -> list[str]:
    """What of the rows that fit `ours` does not fit `theirs`; and answers of another kind, which cannot be compared.

    >>> ours = Signature((Column("hour", "integer"),), "regression")
    >>> refused(ours, Signature((Column("wind", "number"), Column("hour", "number")), "regression"))
    []
    >>> refused(ours, Signature((Column("hour", "string"), Column("wind", "number", nullable=False)), "regression"))
    ["column 'hour' takes string, and rows bring integer", "column 'wind' may not be null, and rows may leave it out"]
    """
    found = []
    if theirs.kind != ours.kind:
        found.append(f"it answers {theirs.kind}, expected {ours.kind}")
    elif theirs.classes != ours.classes:
        found.append(f"it answers the classes {_listed(theirs)}, expected {_listed(ours)} in this order")
    known = {column.name: column for column in ours.columns}
    return found + [why for column in theirs.columns if (why := _refused(column, known.get(column.name)))]


def _refused(column: Column, ours: Column | None) -> str | None:
    if ours is None:
        return None if column.nullable else f"column {column.name!r} may not be null, and rows may leave it out"
    if column.type != ours.type and (ours.type, column.type) not in WIDER:
        return f"column {column.name!r} takes {column.type}, and rows bring {ours.type}"
    if column.length != ours.length:
        return f"column {column.name!r} takes {column.length} numbers, and rows bring {ours.length}"
    if ours.nullable and not column.nullable:
        return f"column {column.name!r} may not be null, and rows may bring null"
    return None


def _listed(signature: Signature) -> str:
    return ", ".join(repr(label) for label in signature.classes) or "none"
