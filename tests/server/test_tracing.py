"""Which request was it: an id in the answer and in the log, one line a record."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from incumbent.server import tracing
from incumbent.server.access import Access


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    logger = logging.getLogger()
    before = logger.handlers[:], logger.level, logging.getLogger("incumbent").level
    yield logger
    logger.handlers[:], level, ours = before
    logger.setLevel(level)
    logging.getLogger("incumbent").setLevel(ours)
    logging.captureWarnings(False)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("value", [b"a", b"x" * 128, b"order 17/b", b"~!"])
def test_the_clients_id_is_taken_over(value: bytes) -> None:
    """1 to 128 printable ASCII characters."""
    assert tracing.request_id([(b"host", b"x"), (b"x-request-id", value)]) == value


@pytest.mark.parametrize("value", [b"", b"x" * 129, b"a\nb", b"a\tb", b"\xc3\xa9", b"a\x7f"])
def test_any_other_id_is_replaced(value: bytes) -> None:
    """What could break a line of the log is never in it."""
    made = tracing.request_id([(b"x-request-id", value)])
    assert made != value and made.isascii() and len(made) > 16


def test_ids_that_we_make_are_different() -> None:
    assert len({tracing.request_id([]) for _ in range(1000)}) == 1000


def test_the_answer_carries_the_id(server_with_edge: Any) -> None:
    """Of every door, and of a refusal."""
    http = server_with_edge.http
    for path, status in (("/v1/status", 200), ("/", 200), ("/metrics", 200), ("/v1/nonsense", 404)):
        response = http.get(path, headers={"X-Request-Id": "order 17"})
        assert (response.status_code, response.headers["x-request-id"]) == (status, "order 17")
    refused = http.get("/", headers={"Host": "evil.example"})
    assert (refused.status_code, len(refused.headers["x-request-id"]) > 16) == (403, True)


def test_a_request_is_a_line_where_that_is_wanted(
    site: Any, run: Any, root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Method, path, status, milliseconds and the id, in either format; no token and no query."""
    (site.folder / "incumbent.toml").write_text((site.folder / "incumbent.toml").read_text() + "access_log = true\n")
    http = run(site.folder, guard=Access()).http
    tracing.log_to_stderr("json")
    http.get("/v1/ledger?after=1", headers={"X-Request-Id": "seven", "Authorization": "Bearer inc_secret"})
    (line,) = said(capsys)
    found = json.loads(line)
    assert (found["method"], found["path"], found["status"], found["request_id"]) == ("GET", "/v1/ledger", 200, "seven")
    assert (found["logger"], found["level"]) == ("incumbent.access", "info") and found["ms"] > 0
    tracing.log_to_stderr("text")
    http.get("/caf%C3%A9%0Aok", headers={"X-Request-Id": "eight"})
    (line,) = said(capsys)
    assert " incumbent.access [eight]: GET /caf\\xe9\\nok 404, " in line


def test_a_record_is_one_line(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON holds what happened, when, where, in which process, and the exception as text."""
    tracing.log_to_stderr("json")
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("incumbent.server").exception("it %s", "broke")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("another").info("not wanted")
    first, second = map(json.loads, said(capsys))
    assert set(first) == {"time", "level", "logger", "message", "pid", "exception"}
    assert (first["message"], first["level"]) == ("it broke", "error") and "ValueError: a" in first["exception"]
    assert second["logger"] == "uvicorn.error"


def test_text_is_for_people(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, process, place and words."""
    tracing.log_to_stderr("text")
    logging.getLogger("incumbent").warning("v2 cannot be loaded")
    (line,) = said(capsys)
    assert line.endswith(" incumbent: v2 cannot be loaded") and " warning " in line
