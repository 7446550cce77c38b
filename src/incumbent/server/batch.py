"""A batch is whatever arrived while the last one was being answered. No timers, no target size.

In: one item a caller. Out: its result. A quiet server answers a single row at once, a busy one many rows for
the price of one commit. Bounded by rows, so that a batch stays short enough for the next caller.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_ROWS = 5_000


class Batches(Generic[Item, Result]):
    """Queues items and gives them to `work` in a thread of `executor`, one batch at a time.

    `work` returns one result (or exception) an item, in order; when it raises, every caller of the batch
    hears it. `size` says how many rows an item counts for.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        executor: Executor,
        size: Callable[[Item], int],
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._work, self._executor, self._size, self._after = work, executor, size, after
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    def ask(self, item: Item) -> Awaitable[Result]:
        """The result of one item. What waits already goes first."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, answer))
        if self._running is None:
            self._running = loop.create_task(self._run())
        return answer

    async def drained(self) -> None:
        """Wait until nothing is waiting or running."""
        while self._running is not None:
            await asyncio.shield(self._running)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._one(self._taken())
                self._after()
        finally:
            self._running = None

    async def _one(self, taken: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        results: Sequence[Result | Exception]
        try:
            items = [item for item, _ in taken]
            results = await asyncio.get_running_loop().run_in_executor(self._executor, self._work, items)
        except Exception as error:  # every caller hears it; the queue goes on
            results = [error] * len(taken)
        for (_, answer), result in zip(taken, results, strict=True):
            if answer.done():
                continue  # the caller went away
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

    def _taken(self) -> list[tuple[Item, "asyncio.Future[Result]"]]:
        taken = [self._waiting.popleft()]
        rows = self._size(taken[0][0])
        while self._waiting and rows + self._size(self._waiting[0][0]) <= MOST_ROWS:
            rows += self._size(self._waiting[0][0])
            taken.append(self._waiting.popleft())
        return taken
