"""Write the outputs, all of them, whatever the verdict.

In: an Outcome and Targets. Out: files. What cannot be written is NotWritten, once the others are. Loads the packages
that draw: whoever may have none of them imports it when there is something to write.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from incumbent.ci import document, files, junit, openmetrics, page, picture, summary
from incumbent.ci.outcome import Outcome
from incumbent.ci.places import Targets
from incumbent.errors import NotWritten

_TEXTS: dict[str, Callable[[Outcome], str]] = {
    "summary": summary.markdown, "junit": junit.xml, "json": document.text, "openmetrics": openmetrics.text,
    "report": page.html, "dotenv": document.dotenv,
}  # fmt: skip


def write(outcome: Outcome, wanted: Targets) -> None:
    """Every file of `wanted`. Raises NotWritten when some could not be, after it has written the others."""
    failed = [said for said in _attempts(outcome, wanted) if said]
    if failed:
        raise NotWritten("; ".join(failed))


# --- parts


def _attempts(outcome: Outcome, wanted: Targets) -> Iterator[str]:
    """For each file what went wrong, or nothing; what the service shows comes first."""
    if (shown := wanted.step_summary) is not None:
        yield _attempt(lambda: files.append(shown, summary.markdown(outcome, summary.MOST - _size(shown))))
    if (told := wanted.step_outputs) is not None:
        yield _attempt(lambda: files.append(told, document.github_output(outcome)))
    for name, path in wanted.files:
        yield _attempt(partial(_put, name, path, outcome))


def _put(name: str, path: Path, outcome: Outcome) -> None:
    files.replace(path, _content(name, path, outcome))


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


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
