"""What changes the Log: shadows, outcomes and losses arrive, in any order. (Predictions: the body's hot insert.)

In: a session that writes, and records. Out: rows. Whatever makes an output meet a label marks it in the table
`unscored`; `put_losses` takes the mark away. So the work that is due is always a short list, never a search.

Outcomes are kept `alone`: no prediction, shadow or loss is on its way at the same moment, so none misses the label that
it ought to meet.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import bindparam, case, delete, exists, or_, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite takes the same text: ON CONFLICT is PostgreSQL's own

from incumbent.errors import IdReused
from incumbent.records import Label, Outcome, Review, Shadow
from incumbent.storage.base import OutcomeCounts, PredictionRow
from incumbent.storage.sql import pairs, tables
from incumbent.storage.sql.session import Database, Session, among
from incumbent.storage.sql.tables import LABEL, NEVER, Text
from incumbent.storage.values import checked_id, label, label_text, packed, same_label

Given = Mapping[tuple[str, str], tuple[int, int]]
"""(id, version) → (prediction, outcome): which label a loss is about to be computed for."""

p, s, o, l = (table.alias(table.name[0]) for table in (tables.prediction, tables.shadow, tables.outcome, tables.loss))  # noqa: E741 (one letter a table, as in SQL)
outcome, loss, unscored = tables.outcome, tables.loss, tables.unscored

_PREDICTIONS = select(p.c.id, p.c.arrival).where(among(p.c.id, "ids"))
_SERVED = select(p.c.id, p.c.at, p.c.arrival, p.c.served_by).where(among(p.c.id, "ids"))
# Of predictions that came, and of ids that wait for theirs.
_JOINED = select(o.c.prediction, o.c.name, o.c.value).where(
    among(o.c.prediction, "predictions"), o.c.replaced_at == NEVER
)
_WAITING = select(o.c.id, o.c.name, o.c.value).where(
    o.c.prediction.is_(None), among(o.c.id, "ids"), o.c.replaced_at == NEVER
)
_LATEST_LABEL = (
    select(p.c.arrival, o.c.arrival)
    .join(o, o.c.prediction == p.c.arrival)
    .where(p.c.id == bindparam("id"), o.c.name == LABEL, o.c.replaced_at == NEVER)
)

_INSERT_SHADOWS = insert(tables.shadow).on_conflict_do_nothing()
_INSERT_OUTCOMES = insert(outcome).values(
    {column: bindparam(column) for column in ("prediction", "id", "name", "value", "known_at", "replaced_at")}
)
_INSERT_REVIEWS = (
    insert(tables.review)
    .values({column.name: bindparam(column.name) for column in tables.review.c if column.name != "arrival"})
    .on_conflict_do_nothing()
)
# A label that was corrected may get its loss until the correction has one: so the sums of a trial can rely on it that
# nothing comes in behind them.
_LATER_LOSS = exists().where(
    l.c.at == p.c.at,
    l.c.prediction == p.c.arrival,
    l.c.version == bindparam("version", type_=Text),
    l.c.outcome > bindparam("outcome"),
)
_NEW_LOSS = insert(loss).from_select(
    ["at", "prediction", "version", "outcome", "served", "known_at", "replaced_at", "loss"],
    select(
        p.c.at,
        p.c.arrival,
        bindparam("version", type_=Text),
        o.c.arrival,
        case((p.c.served_by == bindparam("version", type_=Text), 1), else_=0),
        o.c.known_at,
        o.c.replaced_at,
        bindparam("loss", type_=loss.c.loss.type),
    )
    .join(o, o.c.arrival == bindparam("outcome"))
    .where(p.c.arrival == bindparam("prediction"), o.c.name == LABEL)
    .where(or_(o.c.replaced_at == NEVER, ~_LATER_LOSS)),
)
_INSERT_LOSS = _NEW_LOSS.on_conflict_do_update(
    index_elements=["at", "prediction", "version", "outcome"], set_={"loss": _NEW_LOSS.excluded.loss}
)
_SCORED = delete(unscored).where(
    unscored.c.prediction == bindparam("prediction"),
    unscored.c.version == bindparam("version"),
    exists().where(o.c.arrival == bindparam("outcome"), o.c.replaced_at == NEVER),
)

_REPLACE_PENDING = (
    update(outcome)
    .where(outcome.c.prediction.is_(None), outcome.c.id == bindparam("of"), outcome.c.name == bindparam("called"))
    .where(outcome.c.replaced_at > bindparam("until"))
    .values(replaced_at=bindparam("until"))
)
_REPLACE_OUTCOME = (
    update(outcome)
    .where(outcome.c.prediction == bindparam("of"), outcome.c.name == bindparam("called"))
    .where(outcome.c.replaced_at > bindparam("until"))
    .values(replaced_at=bindparam("until"))
)
_REPLACE_LOSS = (
    update(loss)
    .where(loss.c.prediction == bindparam("of"), loss.c.replaced_at > bindparam("until"))
    .where(loss.c.at == select(p.c.at).where(p.c.arrival == bindparam("of")).scalar_subquery())
    .values(replaced_at=bindparam("until"))
)

_MARK = [
    insert(unscored).from_select(["prediction", "version"], found).on_conflict_do_nothing()
    for found in (
        select(p.c.arrival, p.c.served_by).where(among(p.c.arrival, "predictions")),
        select(s.c.prediction, s.c.version)
        .select_from(p.join(s, (s.c.at == p.c.at) & (s.c.prediction == p.c.arrival)))
        .where(among(p.c.arrival, "predictions"), s.c.output.is_not(None)),
    )
]
_MARK_SHADOWS = (
    insert(unscored)
    .from_select(
        ["prediction", "version"],
        select(s.c.prediction, s.c.version)
        .select_from(
            p.join(o, (o.c.prediction == p.c.arrival) & (o.c.name == LABEL) & (o.c.replaced_at == NEVER)).join(
                s, (s.c.at == p.c.at) & (s.c.prediction == p.c.arrival)
            )
        )
        .where(among(p.c.arrival, "predictions"), s.c.output.is_not(None))
        .where(
            ~exists().where(
                l.c.at == p.c.at,
                l.c.prediction == p.c.arrival,
                l.c.version == s.c.version,
                l.c.outcome == o.c.arrival,
            )
        ),
    )
    .on_conflict_do_nothing()
)


class IdTaken(Exception):
    """Inside the hot insert: an id is there already, or twice in the call."""


def reused(database: Database, rows: Sequence[PredictionRow]) -> IdReused:
    """What the caller of the hot insert hears then: the first such id."""
    ids = [row.id for row in rows]
    with database.reading() as session:
        there = {id for id, _ in session.rows(_PREDICTIONS, ids=session.listed(ids))}
    found = next((id for n, id in enumerate(ids) if id in there or id in ids[:n]), None)
    return IdReused(
        f"the id {found!r} is in the log already (or twice in this call); expected a new one. Nothing of this call was "
        "kept: ask `find` first."
    )


def keep_shadows(session: Session, shadows: Sequence[Shadow]) -> None:
    """Insert shadows of known predictions; what a version said first counts, be it served or shadow."""
    known = {id: rest for id, *rest in session.rows(_SERVED, ids=_ids(session, {shadow.id for shadow in shadows}))}
    rows = []
    for shadow in shadows:
        if shadow.id in known and known[shadow.id][2] != shadow.version:
            at, prediction, _ = known[shadow.id]
            output = None if shadow.output is None else packed(shadow.output)
            rows.append({"at": at, "prediction": prediction, "version": shadow.version, "output": output,
                         "error": shadow.error, "latency_us": shadow.latency_us})  # fmt: skip
    session.run_all(_INSERT_SHADOWS, rows)
    session.run(_MARK_SHADOWS, predictions=session.listed([prediction for _, prediction, _ in known.values()]))


def keep_outcomes(session: Session, outcomes: Sequence[Outcome]) -> OutcomeCounts:
    """Insert those outcomes that say something new, and count what became of each."""
    ids = _ids(session, {outcome.id for outcome in outcomes})
    known: dict[str, int] = dict(session.rows(_PREDICTIONS, ids=ids))
    current = _current(session, known, ids)
    counts = {"accepted": 0, "pending": 0, "repeated": 0, "corrected": 0}
    fresh: list[dict[str, int | str | None]] = []
    labelled: list[int] = []
    corrected: list[int] = []
    for outcome in outcomes:
        key = (outcome.id, outcome.name)
        value, prediction = label_text(outcome.value), known.get(outcome.id)
        if key in current and same_label(current[key], outcome.value):
            counts["repeated"] += 1
            continue
        if key in current:
            session.run_all(_INSERT_OUTCOMES, fresh)
            fresh.clear()
            _replace(session, prediction, outcome)
            if prediction is not None and outcome.name == LABEL:
                corrected.append(prediction)
        counts["corrected" if key in current else "pending" if prediction is None else "accepted"] += 1
        current[key] = outcome.value
        fresh.append({"prediction": prediction, "id": outcome.id if prediction is None else None, "name": outcome.name,
                      "value": value, "known_at": outcome.known_at, "replaced_at": NEVER})  # fmt: skip
        if prediction is not None and outcome.name == LABEL:
            labelled.append(prediction)
    session.run_all(_INSERT_OUTCOMES, fresh)
    pairs.touched(session, corrected)  # all at once: in the order of the blocks, whatever the order of the call
    mark(session, labelled)
    return OutcomeCounts(**counts)


def keep_losses(session: Session, losses: Iterable[tuple[str, str, int]], given: Given) -> None:
    """Keep losses for the label each was given for. A row that was corrected meanwhile stays unscored."""
    rows = []
    for id, version, loss in losses:
        key = given.get((id, version)) or session.row(_LATEST_LABEL, id=id)
        if key is not None:
            rows.append({"prediction": key[0], "outcome": key[1], "version": version, "loss": loss})
    session.run_all(_INSERT_LOSS, rows)
    pairs.touched(session, [row["prediction"] for row in rows])
    session.run_all(_SCORED, [{name: row[name] for name in ("prediction", "outcome", "version")} for row in rows])


def keep_reviews(session: Session, reviews: Sequence[Review]) -> None:
    """Insert drawn rows; an id that was drawn before is left as it is."""
    session.run_all(
        _INSERT_REVIEWS,
        [{"id": checked_id(r.id), "at": r.at, "version": r.version, "reason": r.reason, "propensity": r.propensity,
          "policy": r.policy, "label": None if r.label is None else label_text(r.label), "reviewer": r.reviewer}
         for r in reviews],
    )  # fmt: skip


def mark(session: Session, labelled: Sequence[int]) -> None:
    """A new label came: every output for these predictions needs a loss."""
    if labelled:
        for statement in _MARK:
            session.run(statement, predictions=session.listed(labelled))


def _ids(session: Session, ids: Collection[str]) -> object:
    return session.listed([checked_id(id) for id in ids])


def _current(session: Session, known: Mapping[str, int], ids: object) -> dict[tuple[str, str], Label]:
    """What counts now, by id and name."""
    of = {arrival: id for id, arrival in known.items()}
    joined = session.rows(_JOINED, predictions=session.listed(list(of)))
    waiting = session.rows(_WAITING, ids=ids)
    return {(of.get(key, key), name): label(value) for key, name, value in (*joined, *waiting)}


def _replace(session: Session, prediction: int | None, outcome: Outcome) -> None:
    """Say of everything that arrived before `outcome` that it counts only until `outcome` was known."""
    until = outcome.known_at
    if prediction is None:
        session.run(_REPLACE_PENDING, of=outcome.id, called=outcome.name, until=until)
        return
    session.run(_REPLACE_OUTCOME, of=prediction, called=outcome.name, until=until)
    if outcome.name == LABEL:
        session.run(_REPLACE_LOSS, of=prediction, until=until)
