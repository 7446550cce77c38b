"""Write the outputs: each file whole or not at all, and all of them, whatever the verdict.

In: an Outcome and Targets. Out: files. A file is written beside its place and moved there; one that a service appends
to is cut back to what it was where the disk fills up. What cannot be written is NotWritten, once the others are.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

from incumbent.ci import document, junit, openmetrics, page, picture, summary
from incumbent.ci.outcome import Outcome
from incumbent.ci.places import Targets
from incumbent.errors import NotWritten

_TEXTS: dict[str, Callable[[Outcome], str]] = {
    "summary": summary.markdown, "junit": junit.xml, "json": document.text, "openmetrics": openmetrics.text,
    "report": page.html, "dotenv": document.dotenv,
}  # fmt: skip


def check(wanted: Targets) -> None:
    """Can every file be written? Makes missing folders, and leaves no file.

    Asked before the gate, so that a wrong path costs no training and leaves nothing on the ledger. Raises NotWritten
    for the first that cannot be written.
    """
    for path in wanted.all:
        with _named(path):
            if path.is_dir():
                raise IsADirectoryError(21, "it is a folder")
            if _replaceable(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                NamedTemporaryFile(dir=path.resolve().parent, prefix=".incumbent-").close()
            elif not os.access(path, os.W_OK):
                raise PermissionError(13, "Permission denied")


def write(outcome: Outcome, wanted: Targets) -> None:
    """Every file of `wanted`. Raises NotWritten when some could not be, after it has written the others."""
    failed = [said for said in _attempts(outcome, wanted) if said]
    if failed:
        raise NotWritten("; ".join(failed))


# --- parts


def _attempts(outcome: Outcome, wanted: Targets) -> Iterator[str]:
    """For each file what went wrong, or nothing; what the service shows comes first."""
    if (shown := wanted.step_summary) is not None:
        yield _attempt(lambda: _append(shown, summary.markdown(outcome, summary.MOST - _size(shown))))
    if (told := wanted.step_outputs) is not None:
        yield _attempt(lambda: _append(told, document.github_output(outcome)))
    for name, path in wanted.files:
        yield _attempt(partial(_put, name, path, outcome))


def _put(name: str, path: Path, outcome: Outcome) -> None:
    _replace(path, _content(name, path, outcome))


def _attempt(action: Callable[[], None]) -> str:
    try:
        action()
    except NotWritten as error:
        return str(error)
    return ""


def _content(name: str, path: Path, outcome: Outcome) -> bytes:
    if name == "picture":
        return picture.png(outcome) if path.suffix.lower() == ".png" else picture.svg(outcome)
    return _TEXTS[name](outcome).encode(errors="replace")


def _replace(path: Path, content: bytes) -> None:
    """Write beside the place and move it there. A device or a pipe has no beside: it gets the bytes."""
    with _named(path):
        if not _replaceable(path):
            path.write_bytes(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        home = path.resolve()  # a link stays a link
        draft = home.with_name(f".{home.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, home)
        finally:
            draft.unlink(missing_ok=True)


def _append(path: Path, text: str) -> None:
    with _named(path), path.open("ab", buffering=0) as file:
        before = file.tell()
        content = memoryview(text.encode(errors="replace"))
        try:
            while content:
                content = content[file.write(content) or 0 :]
        except OSError:
            if path.is_file():
                file.truncate(before)
            raise


def _replaceable(path: Path) -> bool:
    return path.is_file() or not path.exists()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An OSError becomes NotWritten, with the path and what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NotWritten(f"{path} could not be written ({reason}): make room, or name another path") from error
