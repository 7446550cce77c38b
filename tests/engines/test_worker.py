"""A child process may hang, crash or answer nonsense: the caller gets a PredictError in time, and a new child."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from incumbent.engines.child import memory_of
from incumbent.engines.worker import Worker
from incumbent.errors import (
    BadOutput,
    EngineDied,
    GoldenMismatch,
    OutOfMemory,
    PredictError,
    PredictTimeout,
    VersionError,
)
from incumbent.runtimes.base import Columns, Floats

sys.path.insert(0, str(Path(__file__).parent))  # a spawned child finds `faults` by the same path
faults = import_module("faults")

WAIT_S = 30.0
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


def rows(first: float) -> Columns:
    return {"x": np.array([first, 3.0])}


def eventually(call: Callable[[], Floats]) -> Floats:
    """The answer of a worker whose child is being started again."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            return call()
        except EngineDied:
            assert time.monotonic() < until, f"no answer within {WAIT_S:g} s"
            time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Is there such a process, and is it no zombie?"""
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def opened(version: str, **options: Any) -> Iterator[Worker]:
    worker = Worker(version, faults.opens, **options)
    try:
        yield worker
    finally:
        worker.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Worker]:
    worker = Worker("v2", faults.opens)
    yield worker
    worker.close()


@pytest.fixture
def worker(shared: Worker) -> Worker:
    eventually(lambda: shared.predict(rows(1.0), 5000))
    shared._back_off = 0.0
    return shared


def test_the_child_answers_with_one_thread(worker: Worker) -> None:
    """In another process, whose libraries are told to use one thread; ours is not told."""
    assert worker.predict(rows(2.0), 5000).tolist() == [4.0, 6.0]
    assert worker.predict(rows(-5.0), 5000)[0] == worker.pid != os.getpid()
    assert worker.predict(rows(-6.0), 5000)[0] == 1
    assert worker.signature == faults.SIGNATURE


def test_a_hang_ends_at_the_deadline(worker: Worker) -> None:
    """The caller hears a timeout, the hanging child is killed, and the next one answers."""
    hanging = worker.pid
    with pytest.raises(PredictTimeout, match="v2 did not answer within 200 ms"):
        worker.predict(rows(-1.0), 200)
    assert hanging is not None
    assert not is_running(hanging)
    assert eventually(lambda: worker.predict(rows(1.0), 5000)).tolist() == [2.0, 6.0]
    assert worker.pid != hanging


def test_a_crash_is_heard_and_healed(worker: Worker) -> None:
    """os._exit in the middle of a call: EngineDied, then answers again from a new child."""
    before = worker.pid
    with pytest.raises(EngineDied, match="the process of v2 is gone"):
        worker.predict(rows(-2.0), 5000)
    assert eventually(lambda: worker.predict(rows(1.0), 5000)).tolist() == [2.0, 6.0]
    assert worker.pid != before


def test_an_exception_leaves_the_child_alive(worker: Worker) -> None:
    """It crosses the pipe as text, and the same child answers the next rows."""
    before = worker.pid
    with pytest.raises(PredictError, match="v2 raised ValueError: no such thing"):
        worker.predict(rows(-3.0), 5000)
    assert worker.predict(rows(1.0), 5000).tolist() == [2.0, 6.0]
    assert worker.pid == before


def test_nan_is_no_answer(worker: Worker) -> None:
    """The output is checked on our side."""
    with pytest.raises(BadOutput, match="expected finite numbers"):
        worker.predict(rows(-4.0), 5000)


@pytest.mark.parametrize(
    ("opens", "error", "says"),
    [
        ("refuses", GoldenMismatch, "row 3 differs"),
        ("breaks", VersionError, "OSError: no such library"),
        ("dies", EngineDied, "ended while it opened"),
    ],
)
def test_a_version_that_does_not_open_is_refused(opens: str, error: type[Exception], says: str) -> None:
    """The error is the child's own where it is one of ours."""
    with pytest.raises(error, match=says):
        Worker("v2", getattr(faults, opens))


def test_a_slow_start_is_bounded() -> None:
    """A child that is not ready in time is killed."""
    with pytest.raises(PredictTimeout, match="was not ready within"):
        Worker("v2", faults.hangs, start_s=0.2)


def test_restarts_pause_longer_and_longer(tmp_path: Path) -> None:
    """A child that dies at every start is not started in a circle: after the second failure the pause has begun."""
    now = [100.0]
    worker = Worker("v2", faults.opens_once, (str(tmp_path / "mark"),), clock=lambda: now[0])
    try:
        with pytest.raises(EngineDied):
            worker.predict(rows(-2.0), 5000)
        until = time.monotonic() + WAIT_S
        while worker.pid is not None:  # the second child dies while it starts; nobody waits for it
            with pytest.raises(EngineDied, match="being started again"):
                worker.predict(rows(1.0), 5000)
            assert time.monotonic() < until
            time.sleep(0.01)
        with pytest.raises(EngineDied):
            worker.predict(rows(1.0), 5000)
        assert worker.pid is None
        now[0] += 0.5
        with pytest.raises(EngineDied):
            worker.predict(rows(1.0), 5000)
        assert worker.pid is not None
    finally:
        worker.close()


def test_closing_ends_the_child() -> None:
    """Twice is fine."""
    worker = Worker("v2", faults.opens)
    child = worker.pid
    assert child is not None
    worker.close()
    worker.close()
    assert not is_running(child)


# --- what a child may do to itself, to us and to others


def grow(worker: Worker) -> None:
    for _ in range(10):
        worker.predict(rows(-7.0), 5000)


def ends(pid: int) -> None:
    until = time.monotonic() + WAIT_S
    while is_running(pid):
        assert time.monotonic() < until, f"process {pid} is still there after {WAIT_S:g} s"
        time.sleep(0.02)


def test_a_segmentation_fault_is_heard(worker: Worker) -> None:
    """The kernel ends the child; ours goes on."""
    with pytest.raises(EngineDied, match="the process of v2 is gone"):
        worker.predict(rows(-12.0), 5000)
    assert eventually(lambda: worker.predict(rows(1.0), 5000)).tolist() == [2.0, 6.0]


def test_a_child_that_ignores_sigterm_ends_at_the_deadline(worker: Worker) -> None:
    """It is not asked, it is killed."""
    hanging = worker.pid
    with pytest.raises(PredictTimeout):
        worker.predict(rows(-13.0), 200)
    assert hanging is not None and not is_running(hanging)


def test_what_it_prints_is_not_on_our_standard_output(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is the server's: the line that says its address stands there alone."""
    with opened("v2") as printing:
        assert printing.predict(rows(-10.0), 5000).tolist() == [-20.0, 6.0]
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "a model says something\n")


def test_an_output_that_cannot_be_sent_is_an_error(worker: Worker) -> None:
    """The child stays alive, and says so."""
    before = worker.pid
    with pytest.raises(PredictError, match="an output that no process can pass on"):
        worker.predict(rows(-11.0), 5000)
    assert worker.predict(rows(1.0), 5000).tolist() == [2.0, 6.0]
    assert worker.pid == before


@linux
def test_a_child_that_reads_nothing_holds_nobody_up(worker: Worker) -> None:
    """Rows that do not fit into the pipe end at the deadline too, when the child was stopped."""
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(PredictTimeout, match="did not answer within 200 ms"):
        worker.predict({"x": np.ones(1_000_000)}, 200)
    assert eventually(lambda: worker.predict({"x": np.ones(1_000_000)}, 20_000)).sum() == 2_000_000


@linux
def test_what_a_child_started_ends_with_it(worker: Worker) -> None:
    """A process that it forked holds the pipe open: the death of the child is noticed at the deadline at the latest,
    and both are gone then."""
    forked = int(worker.predict(rows(-9.0), 5000)[0])
    assert is_running(forked)
    with pytest.raises((EngineDied, PredictTimeout)):
        worker.predict(rows(-2.0), 300)
    ends(forked)
    assert eventually(lambda: worker.predict(rows(1.0), 5000)).tolist() == [2.0, 6.0]


@linux
def test_a_child_that_grows_over_its_limit_is_replaced() -> None:
    """Its resident memory is looked at after its calls; the error says what was found and what is allowed."""
    with opened("v2", memory_mb=100) as worker:
        before = worker.pid
        with pytest.raises(OutOfMemory, match=r"has \d+ MB, expected at most 100 MB \(versions.memory_mb\)") as grown:
            grow(worker)
        assert grown.value.reason == "memory"
        assert eventually(lambda: worker.predict(rows(1.0), 5000)).tolist() == [2.0, 6.0]
        assert worker.pid != before


@linux
def test_an_allocation_over_the_limit_fails_in_the_child() -> None:
    """Long before the machine has none left: the child's own allocation fails, and it is replaced."""
    with opened("v2", memory_mb=100) as worker:
        before = worker.pid
        with pytest.raises(OutOfMemory, match="had no memory left"):
            worker.predict(rows(-8.0), 5000)
        assert eventually(lambda: worker.predict(rows(1.0), 5000)).tolist() == [2.0, 6.0]
        assert worker.pid != before


@linux
def test_without_a_limit_nothing_is_looked_at() -> None:
    """memory_mb = 0: the child may grow."""
    with opened("v2", memory_mb=0) as worker:
        assert worker.pid is not None
        before = memory_of(worker.pid)
        grow(worker)
        now = memory_of(worker.pid)
        assert before is not None and now is not None and now[1] - before[1] > 200e6


@linux
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in mid-call"])
def test_no_child_outlives_a_killed_parent(busy: bool) -> None:
    """kill -9 of the parent closes the pipe; a child that hangs and never looks at it ends all the same."""
    call = "worker.predict({'x': np.array([-1.0])}, 60_000)" if busy else "time.sleep(60)"
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "if __name__ == '__main__':\n"
        "    import faults, os, signal, threading, time\n"
        "    import numpy as np\n"
        "    from incumbent.engines.worker import Worker\n"
        "    worker = Worker('v2', faults.opens)\n"
        f"    threading.Thread(target=lambda: {call}, daemon=True).start()\n"
        "    time.sleep(0.3)  # until the call has most likely begun; nothing depends on it\n"
        "    print(worker.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=WAIT_S)
    ends(int(done.stdout))
