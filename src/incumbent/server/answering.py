"""One answering process of a supervisor, from its side.

In: the environment of `incumbent.asgi`, a listening socket, a lifeline, and a pipe to speak through. Out: answers,
until SIGTERM or the end of the supervisor. What it says through the pipe is one line of JSON: {"ready": true} once it
can answer, or {"error", "exit_code"} when it never will.

    python -c "from incumbent.server.answering import main; main()" SOCKET LIFELINE SPEAK FORMAT
"""

import json
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress

from incumbent import config
from incumbent.errors import IncumbentError
from incumbent.server import lifeline, tracing
from incumbent.server.listening import PROJECT_VARIABLE


def main() -> None:
    """Answer; leave with the exit code of what went wrong."""
    listens, lives, speaks = map(int, sys.argv[1:4])
    lifeline.hold(lives)
    tracing.log_to_stderr("json" if sys.argv[4] == "json" else "text")
    os.set_inheritable(speaks, False)
    try:
        from incumbent.server.serving import APP, answer_on  # not before the lifeline: loading takes a second

        with socket.socket(fileno=listens) as listener:
            listener.set_inheritable(False)
            limits = config.load(os.environ[PROJECT_VARIABLE]).serve
            answer_on(listener, limits, APP, lambda: _say(speaks, {"ready": True}))
    except IncumbentError as error:
        _say(speaks, {"error": f"{type(error).__name__}: {error}", "exit_code": error.exit_code})
        sys.exit(error.exit_code)


def _say(pipe: int, said: Mapping[str, object]) -> None:
    with suppress(BrokenPipeError):  # the supervisor listens until we are ready
        os.write(pipe, json.dumps(said).encode() + b"\n")
