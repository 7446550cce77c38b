"""How much may be asked at once: rows that wait, features a row, characters a text.

In: what was asked and the limits of `[serve]`. Out: nothing, or the error that says what was found and how much is
allowed. Cheap where nothing is wrong: a comparison a request, and one a row.
"""

from collections.abc import Mapping

from incumbent.errors import Crowded, RowError
from incumbent.records import Json


def refuse_crowd(waiting: int, rows: int, most: int) -> None:
    """Too many rows wait already: Crowded, before anything of the request is taken. A request that finds nobody
    waiting is always taken."""
    if waiting and waiting + rows > most:
        raise Crowded(
            f"found {waiting} rows that wait for their answer and {rows} more, expected at most {most} "
            "(serve.max_waiting_rows): send the request again a little later"
        )


def refuse_shape(row: int, features: Mapping[str, Json], characters: int, most_columns: int, most_string: int) -> None:
    """Too many features, or a text that is too long: RowError. `characters` is the length of the row's JSON: no text
    in it is longer, so most rows are not looked through."""
    if len(features) > most_columns:
        raise RowError(row, None, len(features), f"at most {most_columns} features (serve.max_columns)")
    if characters <= most_string:
        return
    for column, value in features.items():
        if isinstance(value, str) and len(value) > most_string:
            raise RowError(row, column, len(value), f"at most {most_string} characters (serve.max_string)")
