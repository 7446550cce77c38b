"""A system that answers over HTTP, as a predictor: the one that is in place, at its own address.

In: an address, the shape of a question, and the name of the environment variable that holds its token (never the
token); later columns. Out: one answer a row, asked over HTTP in questions of at most `baseline.url_batch` rows, one
after the other. The standard library does (`urllib.request`): no pool of connections, no HTTP/2, nothing asynchronous
to need a package for. On the answering path it runs in a worker, gives up just before `serve.deadline_ms` and asks
nothing twice; a judge is patient, and asks again after faults that may pass (no connection, a timeout, 429, 5xx).
"""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import numpy as np

from incumbent.config import Baseline
from incumbent.errors import ArtefactRefused, ConfigError, DataError
from incumbent.records import Json, Signature
from incumbent.runtimes import signature as signatures
from incumbent.runtimes.base import Columns, Floats, Opening, Remote, n_rows
from incumbent.runtimes.said import as_output

PART = "endpoint.json"
FIRST_PAUSE_S = 0.2
MOST_BYTES = 64 * 2**20
SHARE_OF_DEADLINE = 0.9
"""The child gives up before who waits for it does: to be killed and started anew costs more than a failed question."""
_PIECE = 2**16
_PASSING = (429, 500, 502, 503, 504)
_LISTS = ("predictions", "outputs", "answers", "results")
_FIELDS = ("probabilities", "output", "prediction", "probability", "score", "value")

Row = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a system answers, as its version holds it: without a query (it may hold a key) and without the token."""

    url: str
    format: Literal["rows", "instances", "dataframe_records"]
    token_env: str = ""
    runtime: str = "endpoint"


class _NoRedirect(HTTPRedirectHandler):
    """Following would turn a question into a GET, and might carry the token elsewhere."""

    def redirect_request(self, *args: Any) -> None:
        return None


class Endpoint:
    """A Predictor that asks `address`. Raises DataError when no usable answer comes in time."""

    runtime = "endpoint"

    def __init__(self, address: Address, signature: Signature, remote: Remote) -> None:
        self.address, self.signature, self._remote = address, signature, remote
        _token(address.token_env)

    def predict(self, columns: Columns) -> Floats:
        """Ask about n_rows rows."""
        if not n_rows(columns):
            return np.empty((0, len(self.signature.classes)) if self.signature.classifies else 0)
        said = ask(self._settings(), signatures.to_rows(columns, self.signature))
        return as_output(said, self.signature, self.address.url)

    def _settings(self) -> Baseline:
        """How it is asked: the version's own address, with the patience of this machine's settings."""
        asked = self._remote.asked
        query = asked.url.partition("?")[2] if asked.url.partition("?")[0] == self.address.url else ""
        settings = replace(
            asked, url=f"{self.address.url}?{query}" if query else self.address.url, url_format=self.address.format,
            url_token_env=self.address.token_env,
        )  # fmt: skip
        if not self._remote.deadline_ms:
            return settings
        left_s = self._remote.deadline_ms / 1e3 * SHARE_OF_DEADLINE
        return replace(settings, url_timeout_s=left_s, url_total_s=left_s, url_retries=0)


def address_of(settings: Baseline) -> Address:
    """The address that `[baseline]` names, as a version holds it."""
    return Address(name(settings), settings.url_format, settings.url_token_env)


def pack(address: Address, opening: Opening) -> tuple[str, bytes]:
    """The part of a version that holds an address."""
    content = {"url": address.url, "format": address.format, "token_env": address.token_env}
    return PART, json.dumps(content, sort_keys=True).encode()


def load(content: bytes, opening: Opening) -> Endpoint:
    """The predictor of a part. Nothing is asked yet. Raises ArtefactRefused for an address that our own ledger does not
    vouch for (rows and a token would go there), ConfigError where the token's variable is not set."""
    if not opening.vouched:
        raise ArtefactRefused("this address is not on our ledger, and is not asked: name it in baseline.url")
    found = json.loads(content)
    address = Address(str(found["url"]), found["format"], str(found["token_env"]))
    return Endpoint(address, opening.signature, opening.remote or Remote())


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
                return _body(response, name(settings), lambda: until - clock())
        except HTTPError as error:
            said = _first_words(error)
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


def _first_words(error: HTTPError) -> str:
    """Of what it says beside the status; none where that never comes."""
    said = b""
    with error, suppress(OSError, HTTPException):
        said = error.read(200)
    return said.decode("utf-8", "replace").strip()


def _body(response: Any, url: str, left_s: Callable[[], float]) -> bytes:
    """The whole of it, or TimeoutError: the limit of a socket is for one piece, and a body may come byte by byte."""
    content = bytearray()
    while piece := response.read1(_PIECE):
        content += piece
        if len(content) > MOST_BYTES:
            raise DataError(f"{url}: the answer is larger than {MOST_BYTES // 2**20} MB: ask fewer rows at a time "
                            "(baseline.url_batch)")  # fmt: skip
        if left_s() <= 0:
            raise TimeoutError(f"{len(content):,} bytes came in time, and no end")
    return bytes(content)


def _request(settings: Baseline, batch: Sequence[Row]) -> Request:
    rows: list[Any] = [{"features": row} for row in batch] if settings.url_format == "rows" else list(batch)
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token := _token(settings.url_token_env):
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


def _token(variable: str) -> str:
    """The token of the environment; empty where none is named."""
    if not variable:
        return ""
    token = os.environ.get(variable)
    if not token:
        raise ConfigError(f"baseline.url_token_env = {variable!r}: no such environment variable")
    return token
