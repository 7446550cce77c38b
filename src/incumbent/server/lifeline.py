"""A child that ends when its parent is gone, however that ended.

In: the reading end of a pipe whose other end the parent alone holds. The kernel closes that end with the parent, so it
works after a SIGKILL and on every Unix.
"""

import os
import signal
import threading

VARIABLE = "INCUMBENT_LIFELINE"


def hold(descriptor: int | None = None) -> None:
    """From now on end this process in order (SIGTERM) when the parent is gone. Without a descriptor: the one that the
    environment names, if it does."""
    if descriptor is None:
        text = os.environ.pop(VARIABLE, "")
        if not text.isdigit():
            return
        descriptor = int(text)
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_wait, args=(descriptor,), daemon=True, name="incumbent-lifeline").start()


def _wait(descriptor: int) -> None:
    try:
        while os.read(descriptor, 1):
            pass
    except OSError:
        return  # closed by us: this process is ending
    os.kill(os.getpid(), signal.SIGTERM)
