"""The child's side of `worker`: open one version and answer over a pipe until the pipe closes.

In: a pipe, how to open the predictor, and how much memory it may take beside what it has then. Out: ("ready",
signature), then ("output", array), ("error", text) or ("memory", text) for each columns received; ("refused", error
type, text) when the version cannot be opened. What it prints goes to standard error: standard output is the server's.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from incumbent.runtimes.table import asker

MEGABYTE = 1_000_000


def answer(
    pipe: "Connection[Any, Any]", opens: Callable[..., Any], arguments: tuple[Any, ...], memory_mb: int = 0
) -> None:
    """Run until the parent closes its end or dies; then nothing is left behind, not what the version started either."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the child too; the parent decides
    _by_itself()
    try:
        predictor = opens(*arguments)
        ask = asker(predictor)
    except Exception as error:
        pipe.send(("refused", type(error).__name__, str(error)))
        return
    limit_memory(memory_mb)
    pipe.send(("ready", predictor.signature))
    while True:
        try:
            columns = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(_said(ask, columns))
        except BrokenPipeError:
            return
        except Exception as error:  # an output that cannot be sent
            pipe.send(("error", f"an output that no process can pass on: {type(error).__name__}: {error}"))


def _said(ask: Callable[[Any], Any], columns: Any) -> tuple[str, Any]:
    try:
        return "output", ask(columns)
    except MemoryError as error:
        return "memory", str(error)
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"


def memory_of(pid: int | str) -> tuple[int, int] | None:
    """(bytes of address space, resident bytes) of a process; None where there is no /proc, or no such process."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()
    except OSError:
        return None
    size = os.sysconf("SC_PAGE_SIZE")
    return int(pages[0]) * size, int(pages[1]) * size


def limit_memory(megabytes: int) -> None:
    """From now on this process may take so much more address space; beyond, its own allocations fail."""
    now = memory_of("self")
    if megabytes <= 0 or now is None:
        return
    import resource  # not on Windows, where there is no /proc either

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = now[0] + megabytes * MEGABYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _by_itself() -> None:
    """A group of its own, so that it ends with whatever it started; and it ends with the parent, also in mid-call."""
    if sys.platform == "win32":
        return
    os.setpgid(0, 0)
    os.dup2(2, 1)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True, name="incumbent-parent").start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os.killpg(0, signal.SIGKILL)
