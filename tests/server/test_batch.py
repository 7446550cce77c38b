"""A batch is what arrived while the last one was being answered."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from incumbent.server.batch import MOST_ROWS, Batches


class Gate:
    """Work that waits for the test, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()

    def work(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        assert self.open.wait(10)
        return [ValueError(f"{item}") if item < 0 else item * 10 for item in items]


async def asked(gate: Gate, items: list[int], size: int = 1) -> list[int | BaseException]:
    with ThreadPoolExecutor(1) as executor:
        batches: Batches[int, int] = Batches(gate.work, executor, lambda item: size)
        waiting = [asyncio.ensure_future(batches.ask(items[0]))]
        while not gate.batches:
            await asyncio.sleep(0)
        waiting += [asyncio.ensure_future(batches.ask(item)) for item in items[1:]]
        gate.open.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        await batches.drained()
        return list(results)


def test_what_arrives_meanwhile_is_the_next_batch() -> None:
    """The first goes at once and alone, the rest together; each caller gets its own result."""
    gate = Gate()
    assert asyncio.run(asked(gate, [1, 2, 3, 4])) == [10, 20, 30, 40]
    assert gate.batches == [[1], [2, 3, 4]]


def test_a_batch_is_bounded_by_rows() -> None:
    """Large requests do not pile up into one endless batch; none is left out."""
    gate = Gate()
    assert asyncio.run(asked(gate, [1, 2, 3, 4, 5], size=MOST_ROWS // 2)) == [10, 20, 30, 40, 50]
    assert gate.batches == [[1], [2, 3], [4, 5]]


def test_a_request_above_the_bound_goes_alone() -> None:
    """It is larger than a batch may be, and still answered."""
    gate = Gate()
    assert asyncio.run(asked(gate, [1, 2, 3], size=MOST_ROWS + 1)) == [10, 20, 30]
    assert gate.batches == [[1], [2], [3]]


def test_an_error_reaches_its_caller_alone() -> None:
    """The others of the batch get their results."""
    results = asyncio.run(asked(Gate(), [1, -2, 3]))
    assert (results[0], results[2]) == (10, 30)
    assert isinstance(results[1], ValueError)


def test_work_that_raises_is_heard_by_the_whole_batch_and_the_queue_goes_on() -> None:
    """Nobody waits for ever."""

    def work(items: Sequence[int]) -> list[int]:
        if 1 in items:
            raise RuntimeError("broken")
        return list(items)

    async def run() -> int:
        with ThreadPoolExecutor(1) as executor:
            batches: Batches[int, int] = Batches(work, executor, lambda item: 1)
            with pytest.raises(RuntimeError, match="broken"):
                await batches.ask(1)
            return await batches.ask(2)

    assert asyncio.run(run()) == 2
