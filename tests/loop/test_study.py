"""Who labels which row: every slot once, no item to two people but for doubles, never a copy right after its first."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incumbent.config import parse
from incumbent.loop import study
from incumbent.loop.study import Item, Rows, Slot, Study
from incumbent.records import Adjudication, Response
from incumbent.storage.opening import Facts, open_facts

TOML = '[task]\nname="x"\nkind="binary"\ntarget="y"\nmetric="brier"'


def made(n: int, twice: int = 0, reviewers: tuple[str, ...] = (), **more: object) -> Study:
    return Study(
        **{"name": "s1", "rows": "r", "gold": "g", "n": n, "twice": twice, "seed": 3, "kind": "binary", "target": "y",
           "classes": (0, 1), "reviewers": reviewers, **more}  # type: ignore[arg-type]
    )  # fmt: skip


def items(n: int) -> list[Item | None]:
    return [Item(f"i{place}", {"x": place}) for place in range(n)]


def said(item: int, reviewer: str, value: int | None = 1, copy: int = 1) -> Response:
    return Response("s1", f"i{item}", copy, reviewer, value, 0)


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[Facts]:
    opened = open_facts(parse(TOML, tmp_path))
    yield opened
    opened.close()


def given_to(facts: Facts, of: Study, rows: list[Item | None], reviewer: str, again: bool = False) -> Slot | None:
    return study.next_slot(facts.ledger, facts.log, of, rows, reviewer, again)


def answered(facts: Facts, of: Study, rows: list[Item | None], slot: Slot, who: str, value: int | None = 1) -> None:
    item = rows[slot.item]
    assert item is not None
    study.answer(facts.ledger, facts.log, of, item, slot, who, value, at=1, took_us=5)


# --- dealing


@given(st.integers(2, 60), st.floats(0, 1), st.integers(0, 5))
def test_every_slot_is_dealt_once_and_never_right_after_its_first(n: int, share: float, seed: int) -> None:
    """Each item has a first copy; as many second ones as were asked for, each with another item in between."""
    twice = min(round(share * n), n - 1)
    slots = study.dealt(n, twice, seed)
    assert sorted(slot.item for slot in slots if slot.copy == 1) == list(range(n))
    assert sum(slot.copy == 2 for slot in slots) == twice
    assert len(set(slots)) == len(slots) == n + twice
    place = {slot: number for number, slot in enumerate(slots)}
    for slot in slots:
        if slot.copy == 2:
            assert place[slot] > place[Slot(slot.item, 1)] + 1
    assert slots == study.dealt(n, twice, seed)


@given(st.integers(2, 25), st.integers(0, 24), st.integers(1, 4), st.integers(0, 1000), st.booleans())
def test_people_who_come_in_any_order_label_everything_once(
    n: int, twice: int, persons: int, seed: int, named: bool
) -> None:
    """With others each double is by two people; alone, by one person, never directly one after the other."""
    names = [f"p{number}" for number in range(persons)]
    of, rows = made(n, min(twice, n - 1), tuple(names) if named else ()), items(n)
    draw, responses = random.Random(seed), list[Response]()
    idle: set[str] = set()
    while len(idle) < persons:
        who = draw.choice(names)
        slot = next(study.open_slots(of, rows, responses, who, again=persons == 1), None)
        if slot is None:
            idle.add(who)
            continue
        idle.clear()
        responses.append(said(slot.item, who, 1, slot.copy))
    by_slot = Counter((one.item, one.copy) for one in responses)
    assert max(by_slot.values()) == 1
    assert n + of.twice - len(by_slot) <= (persons == 1)  # the last copy may stand right after its first
    if persons > 1 and named:
        assert max(Counter((one.item, one.reviewer) for one in responses).values()) == 1
    for who in names:
        mine = [one.item for one in responses if one.reviewer == who]
        assert all(first != second for first, second in pairwise(mine))


def test_one_person_alone_gets_second_copies_last() -> None:
    """All of them, but for one that would come right after its first."""
    of, rows, responses = made(10, 4, ("ann",)), items(10), list[Response]()
    while (slot := next(study.open_slots(of, rows, responses, "ann"), None)) is not None:
        responses.append(said(slot.item, "ann", 1, slot.copy))
    assert [one.copy for one in responses] == [1] * 10 + [2] * 4


def test_where_nobody_was_named_a_second_person_may_still_come() -> None:
    """So who came first gets no second copy, unless they ask for it because they know that they are alone."""
    of, rows, responses = made(10, 4), items(10), list[Response]()
    while (slot := next(study.open_slots(of, rows, responses, "ann"), None)) is not None:
        responses.append(said(slot.item, "ann", 1, slot.copy))
    assert [one.copy for one in responses] == [1] * 10
    assert {slot.copy for slot in study.open_slots(of, rows, responses, "ann", again=True)} == {2}
    responses.append(said(0, "ben", None))
    assert list(study.open_slots(of, rows, responses, "ann", again=True)) == []


def test_a_second_copy_waits_for_the_person_who_was_named() -> None:
    """Ann has labelled everything that she may; the rest is Ben's."""
    of, rows, responses = made(10, 4, ("ann", "ben")), items(10), list[Response]()
    while (slot := next(study.open_slots(of, rows, responses, "ann"), None)) is not None:
        responses.append(said(slot.item, "ann", 1, slot.copy))
    assert len(responses) == 10
    told = study.progress(of, rows, responses, [], "ann")
    assert (told.done, told.slots, told.mine, told.waiting) == (10, 14, 10, 4)
    assert len(list(study.open_slots(of, rows, responses, "ben"))) == 4


def test_what_was_skipped_is_for_others_and_comes_back_when_asked() -> None:
    """A skip is no label; the person who skipped does not see its other copy either."""
    of, rows = made(3, 0, ("ann", "ben")), items(3)
    responses = [said(0, "ann", None)]
    assert [slot.item for slot in study.open_slots(of, rows, responses, "ann")] == [1, 2]
    assert [slot.item for slot in study.open_slots(of, rows, responses, "ben")] == [0, 1, 2]
    responses += [said(1, "ann"), said(2, "ann")]
    assert list(study.open_slots(of, rows, responses, "ann")) == []
    assert list(study.open_slots(of, rows, responses, "ann", again=True)) == [Slot(0, 1)]
    assert study.progress(of, rows, responses, []).skipped == 1


def test_an_erased_row_is_dealt_to_nobody() -> None:
    """Nor is it counted."""
    of, rows = made(3), [*items(2), None]
    assert [slot.item for slot in study.open_slots(of, rows, [], "ann")] == [0, 1]
    assert study.progress(of, rows, [], []).slots == 2


# --- leases


def test_two_people_never_get_the_same_item(facts: Facts) -> None:
    """While one looks at it the other gets the next; a reload shows the same again."""
    of, rows = made(3), items(3)
    assert given_to(facts, of, rows, "ann") == given_to(facts, of, rows, "ann") == Slot(0, 1)
    assert given_to(facts, of, rows, "ben") == Slot(1, 1)
    answered(facts, of, rows, Slot(0, 1), "ann")
    assert given_to(facts, of, rows, "cleo") == Slot(2, 1)
    assert given_to(facts, of, rows, "ann") is None


def test_people_at_the_same_time_share_the_work(facts: Facts) -> None:
    """Four threads, forty items, eight doubles: each slot has one answer, each double two people."""
    of, rows, names = made(40, 8, ("a", "b", "c", "d")), items(40), "abcd"
    begin = threading.Barrier(len(names))

    def work(who: str) -> None:
        begin.wait(30)
        while (slot := given_to(facts, of, rows, who)) is not None:
            answered(facts, of, rows, slot, who)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(work, names))
    while sum(finished(facts, of, rows, who) for who in names):  # what was leased when the others looked
        pass
    given = facts.log.responses("s1", history=True)
    assert max(Counter((one.item, one.copy) for one in given).values()) == 1
    assert max(Counter((one.item, one.reviewer) for one in given).values()) == 1
    assert len(given) == 48


def finished(facts: Facts, of: Study, rows: list[Item | None], who: str) -> bool:
    slot = given_to(facts, of, rows, who)
    if slot is not None:
        answered(facts, of, rows, slot, who)
    return slot is not None


def test_time_is_bounded(facts: Facts) -> None:
    """Who was away for an hour took five minutes; nobody takes less than nothing."""
    of, rows = made(2), items(2)
    for item, took in ((0, 3_600_000_000), (1, -5)):
        row = rows[item]
        assert row is not None
        study.answer(facts.ledger, facts.log, of, row, Slot(item, 1), "ann", 1, at=1, took_us=took)
    assert [one.took_us for one in facts.log.responses("s1")] == [study.MOST_US, 0]


# --- what differs


def test_a_third_person_decides_what_differs() -> None:
    """Not one of the two; who has decided ends it. Numbers always differ, so nothing is decided there."""
    of = made(3, 0, ("ann", "ben", "cleo"))
    responses = [said(0, "ann", 0), said(0, "ben", 1, 2), said(1, "ann", 1), said(1, "ben", 1, 2), said(2, "ann", None)]
    assert study.unsettled(of, responses, []) == ["i0"]
    assert study.unsettled(of, responses, [], "ann") == study.unsettled(of, responses, [], "ben") == []
    assert study.unsettled(of, responses, [], "cleo") == ["i0"]
    assert study.unsettled(of, responses, [Adjudication("s1", "i0", 1, "cleo", 0)]) == []
    assert study.unsettled(made(3, classes=()), responses, []) == []


def test_where_two_are_all_there_is_one_of_them_decides() -> None:
    """There is no third person to wait for."""
    responses = [said(0, "ann", 0), said(0, "ben", 1, 2)]
    assert study.unsettled(made(3, 0, ("ann", "ben")), responses, [], "ann") == ["i0"]


# --- the ledger and the blobs


def test_a_study_is_what_the_ledger_says(facts: Facts) -> None:
    """Begun, running, ended; another one may follow."""
    assert study.running(facts.ledger) is None
    first = made(5, 1, ("ann",), classes=(False, True))
    study.start(facts.ledger, first, at=7, actor="test", expected=0)
    running = study.running(facts.ledger)
    assert running is not None and running.is_open
    assert running == made(5, 1, ("ann",), classes=(False, True), started_at=7)
    study.finish(facts.ledger, running, "v3", at=9, actor="test")
    assert study.running(facts.ledger) is None
    assert study.studies(facts.ledger.events())["s1"].version == "v3"


def test_rows_come_back_from_their_blob(facts: Facts) -> None:
    """In the order of their features, with the holes of what was erased."""
    rows = Rows((Item("b", {"z": 1, "a": "é"}), None), {"z": {"kind": "url"}}, ("a",))
    digest = facts.blobs.put(study.rows_to_bytes(rows))
    found = study.rows_of(facts.blobs, digest)
    assert found == rows
    assert found.items[0] is not None and list(found.items[0].features) == ["z", "a"]


def test_a_row_that_must_go_is_in_no_new_blob(facts: Facts) -> None:
    """Its features, its label and its file; a file that another row names stays."""
    files = {name: [facts.blobs.put(name.encode()), "image/png"] for name in ("a.png", "b.png")}
    rows = Rows(
        tuple(Item(id, {"who": id, "p": p}) for id, p in (("x", "a.png"), ("y", "b.png"), ("z", "b.png"))),
        {"p": {"kind": "file", "files": files}}, (),
    )  # fmt: skip
    gold = facts.blobs.put(b'{"labels": [1, 0, 1]}')
    of = made(3, rows=facts.blobs.put(study.rows_to_bytes(rows)), gold=gold)
    assert study.without(facts.blobs, of, lambda item: False) is None
    cleaned = study.without(facts.blobs, of, lambda item: item.id in "xy")
    assert cleaned is not None and cleaned.ids == ("x", "y")
    left = study.rows_of(facts.blobs, cleaned.rows)
    assert [None if item is None else item.id for item in left.items] == [None, None, "z"]
    assert facts.blobs.get(cleaned.gold) == b'{"labels":[null,null,1]}'
    assert cleaned.replaced == (of.rows, of.gold, files["a.png"][0])
    assert b"a.png" not in facts.blobs.get(cleaned.rows)
