"""Requests that nobody should send, at a reduced size; the full one is `python benchmarks/hostile.py`."""

import asyncio
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incumbent.server.access import Access

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
hostile, sites = import_module("hostile"), import_module("sites")

SIGNATURES = {"plain": sites.PLAIN, "wide": sites.WIDE}


@pytest.fixture(params=list(SIGNATURES), scope="module")
def attacked(request: Any, tmp_path_factory: Any) -> Iterator[Any]:
    """(loop, edge, signature, what was seen): a server without a socket, and at its end what its log says."""
    signature = SIGNATURES[request.param]
    folder = sites.project(tmp_path_factory.mktemp(request.param), hostile.SETTINGS, signature)
    held = hostile.Held()
    with asyncio.Runner() as runner:
        opened = hostile.opened(folder)
        edge = runner.run(opened.__aenter__())
        yield runner, edge, signature, held
        runner.run(opened.__aexit__(None, None, None))
    assert hostile.logged(folder) == len(held.ids) > 0


@settings(max_examples=400)
@given(draw=st.randoms(use_true_random=False))
def test_every_damaged_request_is_refused_with_a_reason(attacked: Any, draw: Random) -> None:
    """Both ways say the same, no 5xx, no path and no stack trace; as many rows are logged as were acknowledged."""
    runner, edge, signature, held = attacked
    runner.run(hostile.attack_in_process(edge, iter([hostile.damaged(draw, signature)]), held))
    assert held.wrong == []


@pytest.mark.parametrize("signature", list(SIGNATURES))
def test_the_same_over_real_connections(tmp_path: Path, run: Any, signature: str) -> None:
    """Chunked, with a length that is too short or too long, and with headers that are wrong; at the end a good
    request is answered."""
    folder = sites.project(tmp_path, hostile.SETTINGS, SIGNATURES[signature])
    server, held = run(folder, guard=Access()), hostile.Held()

    async def attack() -> None:
        await hostile.attack(server.url, hostile.sequence(3, 400, SIGNATURES[signature]), held)
        await hostile.still_answers(server.url, held)

    asyncio.run(attack())
    assert held.wrong == []
    assert hostile.logged(folder) == len(held.ids) > 0
