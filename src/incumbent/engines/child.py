"""The child's side of `worker`: open one version and answer over a pipe until the pipe closes.

In: a pipe, and how to open the predictor. Out: ("ready", signature), then ("output", array) or ("error",
text) for each columns received; ("refused", error type, text) when the version cannot be opened. Imports
nothing heavy before `answer` runs: the parent loads this file too.
"""

import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def answer(pipe: "Connection[Any, Any]", opens: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run until the parent closes its end (or dies: then the pipe ends too, so no child is left behind)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the child too; the parent decides
    try:
        predictor = opens(*arguments)
    except Exception as error:
        pipe.send(("refused", type(error).__name__, str(error)))
        return
    pipe.send(("ready", predictor.signature))
    while True:
        try:
            columns = pipe.recv()
        except EOFError:
            return
        try:
            reply = ("output", predictor.predict(columns))
        except Exception as error:
            reply = ("error", f"{type(error).__name__}: {error}")
        pipe.send(reply)
