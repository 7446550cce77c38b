"""What people said of items: responses that were given blind, and adjudications where these differ.

In: a transaction and records. Out: rows appended, and the records that count. Nothing is ever changed: a correction is
one row more, and the latest of its key counts.
"""

from collections.abc import Sequence

from sqlalchemy import bindparam, insert, select

from incumbent.records import Adjudication, Label, Response
from incumbent.storage.sql.session import Session
from incumbent.storage.sql.tables import adjudication, response
from incumbent.storage.values import checked_id, label, label_text, same_label

_RESPONSE = [response.c[name] for name in ("study", "item", "copy", "reviewer", "value", "at", "took_us")]
_ADJUDICATION = [adjudication.c[name] for name in ("study", "item", "value", "reviewer", "at")]
_INSERT_RESPONSE = insert(response).values({column.name: bindparam(column.name) for column in _RESPONSE})
_INSERT_ADJUDICATION = insert(adjudication).values({column.name: bindparam(column.name) for column in _ADJUDICATION})
_RESPONSES = select(*_RESPONSE).where(response.c.study == bindparam("of")).order_by(response.c.arrival)
_ADJUDICATIONS = select(*_ADJUDICATION).where(adjudication.c.study == bindparam("of")).order_by(adjudication.c.arrival)
_LATEST_RESPONSE = (
    select(response.c.value)
    .where(
        response.c.study == bindparam("study"),
        response.c.item == bindparam("item"),
        response.c.copy == bindparam("copy"),
        response.c.reviewer == bindparam("reviewer"),
    )
    .order_by(response.c.arrival.desc())
    .limit(1)
)
_LATEST_ADJUDICATION = (
    select(adjudication.c.value, adjudication.c.reviewer)
    .where(adjudication.c.study == bindparam("study"), adjudication.c.item == bindparam("item"))
    .order_by(adjudication.c.arrival.desc())
    .limit(1)
)


def keep_responses(session: Session, responses: Sequence[Response]) -> None:
    """Insert responses but those that say again what counts already."""
    for one in responses:
        key = {"study": checked_id(one.study), "item": checked_id(one.item), "copy": one.copy,
               "reviewer": checked_id(one.reviewer)}  # fmt: skip
        last = session.row(_LATEST_RESPONSE, **key)
        if last is None or not _same(_label(last[0]), one.value):
            value = None if one.value is None else label_text(one.value)
            session.run(_INSERT_RESPONSE, **key, value=value, at=one.at, took_us=one.took_us)


def responses(session: Session, study: str, history: bool) -> list[Response]:
    """See `storage.base.Log.responses`."""
    found = [
        Response(study, item, copy, reviewer, _label(value), at, took_us)
        for study, item, copy, reviewer, value, at, took_us in session.rows(_RESPONSES, of=study)
    ]
    if history:
        return found
    latest: dict[tuple[str, int, str], Response] = {}
    for one in found:
        latest.pop((one.item, one.copy, one.reviewer), None)  # a correction stands where it came
        latest[one.item, one.copy, one.reviewer] = one
    return list(latest.values())


def keep_adjudications(session: Session, adjudications: Sequence[Adjudication]) -> None:
    """Insert adjudications but those that say again what counts already."""
    for one in adjudications:
        key = {"study": checked_id(one.study), "item": checked_id(one.item)}
        last = session.row(_LATEST_ADJUDICATION, **key)
        if last is None or not (_same(_label(last[0]), one.value) and last[1] == one.reviewer):
            session.run(
                _INSERT_ADJUDICATION,
                **key,
                value=label_text(one.value),
                reviewer=checked_id(one.reviewer),
                at=one.at,
            )


def adjudications(session: Session, study: str, history: bool) -> list[Adjudication]:
    """See `storage.base.Log.adjudications`."""
    found = [
        Adjudication(study, item, label(value), reviewer, at)
        for study, item, value, reviewer, at in session.rows(_ADJUDICATIONS, of=study)
    ]
    if history:
        return found
    latest: dict[str, Adjudication] = {}
    for one in found:
        latest.pop(one.item, None)
        latest[one.item] = one
    return list(latest.values())


def _label(text: str | None) -> Label | None:
    return None if text is None else label(text)


def _same(first: Label | None, second: Label | None) -> bool:
    if first is None or second is None:
        return first is second
    return same_label(first, second)
