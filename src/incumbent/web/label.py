"""The page on which people label rows blind: one row, no prediction, no label, keys for every answer.

In: the running study and the answers so far, and what somebody posts. Out: a dictionary for each page (the template
shows it, and its JSON twin is it), and one answer more in the log. Who is next to label what is `loop.study`'s; nothing
is drawn, decided or measured here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from incumbent.clock import wall
from incumbent.config import Config
from incumbent.errors import DataError, DecisionRefused
from incumbent.loop import study
from incumbent.loop.study import Item, Rows, Slot, Study
from incumbent.records import Adjudication, Json, Label, Micros
from incumbent.storage.opening import Facts
from incumbent.web import dashboard, pixels

KEYS = "1234567890"
"""Up to ten classes have a key each."""
FIRST = "123456789"
"""Of more than ten, letters find one: these are the keys of the first nine that are left."""
_NAME = re.compile(r"[\w .@+-]{1,64}")
_SLOT = re.compile(r"(\d{1,9})-([12])")

Page = dict[str, Json]
Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Person:
    """Who labels: the holder of a token, or whoever gave this name on a machine without tokens."""

    name: str
    by_token: bool = False


def checked_name(text: str) -> str:
    """A name as the log keeps it. DataError for one that is none."""
    name = " ".join(text.split())
    if not _NAME.fullmatch(name):
        raise DataError(f"found the name {text[:80]!r}, expected 1 to 64 letters, digits, spaces or one of . _ @ + -")
    return name


# --- what is shown


def page(facts: Facts, config: Config, person: Person | None, asked: Form) -> Page:
    """The next row for this person, or why there is none. `asked`: `slot` shows the row answered last once more,
    `again` those that were skipped."""
    running = study.running(facts.ledger)
    told = _frame(config, running, person, "again" in asked)
    if running is None or person is None:
        return told
    rows = study.rows_of(facts.blobs, running.rows)
    responses = facts.log.responses(running.name)
    last = study.last_slot(rows.items, responses, person.name)
    slot = _shown_again(asked["slot"], last) if "slot" in asked else study.next_slot(
        facts.ledger, facts.log, running, rows.items, person.name, "again" in asked
    )  # fmt: skip
    told["progress"] = asdict(
        study.progress(running, rows.items, responses, facts.log.adjudications(running.name), person.name)
    )
    told["mine_skipped"] = sum(one.value is None and one.reviewer == person.name for one in responses)
    told["alone"] = study.is_alone(running, responses, person.name)
    told["undo"] = last is not None and "slot" not in asked
    item = None if slot is None else rows.items[slot.item]
    if slot is not None and item is not None:
        before = [one.value for one in responses if "slot" in asked and one.reviewer == person.name
                  and (one.item, one.copy) == (item.id, slot.copy)]  # fmt: skip
        told |= {
            "item": {"slot": f"{slot.item}-{slot.copy}", **shown(item, rows, config, slot.item)},
            "choices": choices(running, before),
            "number": before[0] if before and not running.classes else None,
        }
    return told


def settling(facts: Facts, config: Config, person: Person | None) -> Page:
    """A row whose answers differ, with these answers, for a third person to decide."""
    running = study.running(facts.ledger)
    told = _frame(config, running, person, False)
    told["said"] = []
    if running is None or person is None:
        return told
    rows = study.rows_of(facts.blobs, running.rows)
    responses, adjudications = facts.log.responses(running.name), facts.log.adjudications(running.name)
    told["progress"] = asdict(study.progress(running, rows.items, responses, adjudications, person.name))
    left = study.unsettled(running, responses, adjudications, person.name)
    place = {item.id: number for number, item in enumerate(rows.items) if item is not None}
    for id in (id for id in left if id in place):
        if not facts.ledger.lease(_lease(running, id), person.name, study.LEASE_S):
            continue
        item = rows.items[place[id]]
        assert item is not None
        values = [one.value for one in responses if one.item == id and one.value is not None]
        return told | {
            "item": {"slot": f"{place[id]}-1", **shown(item, rows, config, place[id])},
            "choices": choices(running, values),
            "said": list(dict.fromkeys(word(value) for value in values)),
        }
    return told


def _frame(config: Config, running: Study | None, person: Person | None, again: bool) -> Page:
    about: Page | None = None
    if running is not None:
        about = {"name": running.name, "n": running.n, "target": running.target, "numbers": not running.classes,
                 "find": len(running.classes) > len(KEYS)}  # fmt: skip
    return {
        "task": dashboard.task(config), "study": about, "who": None if person is None else person.name,
        "by_token": person is not None and person.by_token, "item": None, "choices": [], "number": None,
        "progress": None, "mine_skipped": 0, "alone": False, "again": again, "undo": False, "shown_at": wall(),
    }  # fmt: skip


def shown(item: Item, rows: Rows, config: Config, place: int) -> Page:
    """The features of a row as a person reads them: pictures, long texts, and a table of the rest. What is private is
    left out."""
    names = [name for name in item.features if name not in config.task.private]
    pictures = [name for name in names if name in rows.pictures and item.features[name] is not None]
    texts = [name for name in names if name in rows.texts]
    return {
        "pictures": [{"name": name, "src": _source(item.features[name], rows.pictures[name], place, name)}
                     for name in pictures],
        "texts": [{"name": name, "text": item.features[name] or "–"} for name in texts],
        "fields": [{"name": name, "text": word(item.features[name])}
                   for name in names if name not in pictures and name not in texts],
    }  # fmt: skip


def choices(running: Study, marked: Sequence[Label | None]) -> list[dict[str, Json]]:
    """A button for each class. Up to ten have a key each; of more the first nine, if no class has a digit in its word,
    which people then type to find it."""
    taken = [None if one is None else study.label_key(one) for one in marked]
    words = [word(label) for label in running.classes]
    keys = KEYS if len(words) <= len(KEYS) else "" if any(map(str.isdigit, "".join(words))) else FIRST
    return [
        {"index": index, "word": words[index], "key": keys[index : index + 1],
         "marked": study.label_key(label) in taken}
        for index, label in enumerate(running.classes)
    ]  # fmt: skip


def word(value: Json) -> str:
    """A value as a person reads it.

    >>> word(True), word(None), word(0.1 + 0.2), word("late"), word([1, 2.5])
    ('yes', '–', '0.3', 'late', '1, 2.5')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e5 else f"{value:.12g}"
    if isinstance(value, list):
        more = f", … ({len(value)} numbers)" if len(value) > 12 else ""
        return ", ".join(word(one) for one in value[:12]) + more
    return str(value)


def picture(facts: Facts, place: int, column: str) -> tuple[bytes, str] | None:
    """The bytes and the type of a file that a row of the running study names; None where it names none."""
    running = study.running(facts.ledger)
    if running is None:
        return None
    rows = study.rows_of(facts.blobs, running.rows)
    item = rows.items[place] if place < len(rows.items) else None
    files = rows.pictures.get(column, {}).get("files", {})
    found = files.get(item.features.get(column)) if item is not None else None
    return None if found is None else (facts.blobs.get(found[0]), found[1])


def hosts(page: Page) -> list[str]:
    """The places from which the pictures of a page come, for its Content-Security-Policy."""
    sources = [urlsplit(one["src"]) for one in (page["item"] or {}).get("pictures", ())]
    named = {f"{one.scheme}://{one.netloc}" for one in sources if one.scheme in ("http", "https")}
    return sorted(host for host in named if re.fullmatch(r"https?://[\w.:\[\]-]+", host))


def _source(value: Any, how: Mapping[str, Json], place: int, name: str) -> str:
    if how["kind"] == "pixels":
        return pixels.data_uri(value, how["side"], how["most"])
    return f"/label/picture/{place}?column={name}" if how["kind"] == "file" else str(value)


def _shown_again(text: str, last: Slot | None) -> Slot:
    slot = _slot(text)
    if slot != last:
        raise DataError(f"slot {text!r} is not the row that you answered last: only that one can be shown again")
    return slot


# --- what is posted


def answer(facts: Facts, person: Person, form: Form) -> str:
    """Keep an answer, or look at the last one again (undo); the address to go to.

    DecisionRefused where the study has ended meanwhile, DataError for a form that no page of ours sends.
    """
    running = _running(facts, form)
    rows = study.rows_of(facts.blobs, running.rows)
    if form.get("action") == "undo":
        last = study.last_slot(rows.items, facts.log.responses(running.name), person.name)
        return "/label" if last is None else f"/label?slot={last.item}-{last.copy}"
    slot, item = _asked(running, rows, form)
    now = wall()
    value = None if form.get("action") == "skip" else _value(running, form)
    study.answer(facts.ledger, facts.log, running, item, slot, person.name, value, at=now, took_us=_took(form, now))
    return "/label?again" if "again" in form else "/label"


def settle(facts: Facts, person: Person, form: Form) -> str:
    """Keep what a third person decided; the address to go to."""
    running = _running(facts, form)
    _, item = _asked(running, study.rows_of(facts.blobs, running.rows), form)
    left = study.unsettled(running, facts.log.responses(running.name), facts.log.adjudications(running.name),
                           person.name)  # fmt: skip
    if item.id in left:
        facts.log.append_adjudications(
            [Adjudication(running.name, item.id, _value(running, form), person.name, wall())]
        )
    facts.ledger.release(_lease(running, item.id), person.name)
    return "/label/settle"


def _running(facts: Facts, form: Form) -> Study:
    running = study.running(facts.ledger)
    if running is None or running.name != form.get("study"):
        raise DecisionRefused(f"study {form.get('study', '')[:40]!r} has ended: it takes no more answers")
    return running


def _asked(running: Study, rows: Rows, form: Form) -> tuple[Slot, Item]:
    slot = _slot(form.get("slot", ""))
    item = rows.items[slot.item] if slot.item < len(rows.items) else None
    if item is None or slot not in study.dealt(running.n, running.twice, running.seed):
        raise DataError(f"found no row {form.get('slot', '')[:40]!r} in study {running.name}")
    return slot, item


def _slot(text: str) -> Slot:
    found = _SLOT.fullmatch(text)
    if found is None:
        raise DataError(f"found the slot {text[:40]!r}, expected the number of a row and of its copy, as 17-1")
    return Slot(int(found[1]), int(found[2]))


def _value(running: Study, form: Form) -> Label:
    if running.classes:
        text = form.get("choice", "")
        if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < len(running.classes)):
            raise DataError(f"found the choice {text[:40]!r}, expected a class: 0 to {len(running.classes) - 1}")
        return running.classes[int(text)]
    text = form.get("number", "").strip().replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        raise DataError(f"found {text[:40]!r}, expected a number such as 12.5") from None
    if number - number != 0.0:
        raise DataError(f"found {text[:40]!r}, expected a finite number")
    return number


def _took(form: Form, now: Micros) -> Micros:
    """How long the row was looked at: the page's own measure, at most since it was made; without it, since then."""
    shown_at, took = form.get("shown_at", ""), form.get("took_ms", "")
    since = now - int(shown_at) if _is_count(shown_at) else 0
    return min(int(took) * 1000, since) if _is_count(took) else since


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 18


def _lease(running: Study, item: str) -> str:
    return f"settle/{running.name}/{item}"
