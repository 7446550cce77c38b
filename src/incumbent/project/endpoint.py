"""Ask the system that answers today, over HTTP, about the held-out rows.

In: `[baseline]` of the settings and rows as JSON. Out: one answer a row. Questions go one after the other, so the
standard library does (`urllib.request`): there is no pool of connections, no HTTP/2 and nothing asynchronous to need a
package for. Faults that may pass (no connection, a timeout, 429, 5xx) are asked again after a pause that doubles.
"""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from incumbent.config import Baseline
from incumbent.errors import ConfigError, DataError
from incumbent.records import Json

FIRST_PAUSE_S = 0.2
MOST_BYTES = 64 * 2**20
_PASSING = (429, 500, 502, 503, 504)
_LISTS = ("predictions", "outputs", "answers", "results")
_FIELDS = ("probabilities", "output", "prediction", "probability", "score", "value")

Row = Mapping[str, Json]


class _NoRedirect(HTTPRedirectHandler):
    """Following would turn a question into a GET, and might carry the token elsewhere."""

    def redirect_request(self, *args: Any) -> None:
        return None


def name(settings: Baseline) -> str:
    """The address as the ledger and errors show it: without its query, which may hold a key."""
    return settings.url.partition("?")[0]


def ask(
    settings: Baseline,
    rows: Sequence[Row],
    *,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[Any]:
    """One answer a row: a number, a label, probabilities in a list, or by class.

    Raises DataError when the endpoint gives none in time, or not one a row, and ConfigError when the token's
    environment variable is not set.
    """
    until = clock() + settings.url_total_s
    found: list[Any] = []
    for start in range(0, len(rows), settings.url_batch):
        batch = rows[start : start + settings.url_batch]
        found += _answers(_asked(settings, batch, until, pause, clock), len(batch), name(settings))
    return found


def _asked(
    settings: Baseline, batch: Sequence[Row], until: float, pause: Callable[[float], None], clock: Callable[[], float]
) -> bytes:
    """The body of the answer, after as many questions as it takes."""
    request = _request(settings, batch)
    for attempt in range(settings.url_retries + 1):
        left = until - clock()
        if left <= 0:
            raise DataError(f"{name(settings)}: not done after baseline.url_total_s = {settings.url_total_s:g} s. Ask "
                            "fewer rows (baseline.url_rows), or give it longer.")  # fmt: skip
        try:
            opened = build_opener(_NoRedirect).open(request, timeout=min(settings.url_timeout_s, left))
            with opened as response:
                return _body(response, name(settings))
        except HTTPError as error:
            with error:
                said = error.read(200).decode("utf-8", "replace").strip()
            fault = f"answered {error.code} {error.reason}" + (f": {said}" if said else "")
            if error.code not in _PASSING:
                raise DataError(f"{name(settings)} {fault}. Expected 200 for {len(batch)} rows as "
                                f"{settings.url_format}: another baseline.url_format?") from None  # fmt: skip
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            slow = isinstance(reason, TimeoutError)
            fault = f"gave no answer within {settings.url_timeout_s:g} s" if slow else f"cannot be reached ({reason})"
        if attempt < settings.url_retries:
            pause(min(FIRST_PAUSE_S * 2**attempt, max(until - clock(), 0.0)))
    raise DataError(f"{name(settings)} {fault}, asked {settings.url_retries + 1} times. Is it up? Raise "
                    "baseline.url_timeout_s or baseline.url_retries, or leave baseline.url out.")  # fmt: skip


def _body(response: Any, url: str) -> bytes:
    content: bytes = response.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DataError(f"{url}: the answer is larger than {MOST_BYTES // 2**20} MB: ask fewer rows at a time "
                        "(baseline.url_batch)")  # fmt: skip
    return content


def _request(settings: Baseline, batch: Sequence[Row]) -> Request:
    rows: list[Any] = [{"features": row} for row in batch] if settings.url_format == "rows" else list(batch)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if settings.url_token_env:
        token = os.environ.get(settings.url_token_env)
        if not token:
            raise ConfigError(f"baseline.url_token_env = {settings.url_token_env!r}: no such environment variable")
        headers["Authorization"] = f"Bearer {token}"
    return Request(settings.url, json.dumps({settings.url_format: rows}).encode(), headers, method="POST")


def _answers(content: bytes, expected: int, url: str) -> list[Any]:
    try:
        said = json.loads(content)
    except ValueError:
        raise DataError(f"{url}: found an answer that is no JSON ({content[:80]!r})") from None
    if isinstance(said, dict):
        said = next((said[key] for key in _LISTS if key in said), said)
    if not isinstance(said, list):
        raise DataError(f"{url}: found {type(said).__name__}, expected a list, or one under {', '.join(_LISTS)}")
    if len(said) != expected:
        raise DataError(f"{url}: found {len(said)} answers for {expected} rows, expected one a row")
    return [_answer(one, url) for one in said]


def _answer(one: Any, url: str) -> Any:
    if isinstance(one, dict):
        value = next((one[key] for key in _FIELDS if one.get(key) is not None), None)
        if value is None:
            raise DataError(f"{url}: found an answer with {', '.join(one)}, expected one of {', '.join(_FIELDS)}")
        one = value
    if one is None or (isinstance(one, float) and not math.isfinite(one)):
        raise DataError(f"{url}: found the answer {one!r}, expected a number, a label or probabilities")
    return one
