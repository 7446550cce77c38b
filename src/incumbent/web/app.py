"""The addresses of the pages, and the headers that every page has.

In: the stored facts and the settings. Out: one Starlette application. Each page is a dictionary: a template
shows it, and its `.json` twin is it. No page runs a script, sends a form or asks another host for anything, but for
those on which people label rows (`web.labelling`) and steer trials (`web.steering`).
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from incumbent.config import Config
from incumbent.errors import DataError, DecisionRefused, StorageError, UnknownVersion
from incumbent.loop.steering import Proves
from incumbent.records import Json
from incumbent.storage.opening import Facts
from incumbent.storage.pictures import Pictures
from incumbent.web import dashboard, doctor, review, steering, trial, versions, words
from incumbent.web.labelling import routes as label_routes

Page = dict[str, Json]
Reading = Callable[[Request], Page]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
# A picture opened by itself is a document: it may style itself, and do nothing else.
PICTURE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
FOREVER = "public, max-age=31536000, immutable"
_LOGGER = logging.getLogger("incumbent.web")


def pages(facts: Facts, config: Config, proves: Proves | None = None) -> Starlette:
    """The application. It reads on threads of its own, so no answer waits for a page.

    `proves` loads a version and has it repeat its golden rows, or raises; without it nobody steers from a page.
    """
    templates = environment(config)
    show = partial(_show, templates)
    readings: dict[str, tuple[str, Reading]] = {
        "/": ("dashboard.html", lambda request: _dashboard(facts, config, request)),
        "/versions/{name}": ("version.html", lambda request: _version(facts, config, request)),
        "/doctor": ("doctor.html", lambda request: doctor.page(facts, config)),
        "/trial": ("trial.html", lambda request: trial.page(facts, config, steers=proves is not None)),
        "/trials": ("trials.html", lambda request: trial.listing(facts, config)),
        "/trials/{name}": ("trial.html", lambda request: _trial(facts, config, request, proves is not None)),
        "/review": ("review.html", lambda request: _review(facts, config, request)),
    }
    routes: list[Route | Mount] = []
    for path, (template, reading) in readings.items():
        twin = "/index.json" if path == "/" else f"{path}.json"
        routes += [Route(twin, _twin(reading)), Route(path, _html(show, template, reading))]
    routes += label_routes(facts, config, show, _json)
    routes += steering.routes(facts, config, proves, show, _json) if proves is not None else []
    routes += [
        Route("/pictures/{name}.svg", partial(_picture, Pictures(config.store_path, facts.blobs))),
        Mount("/static", StaticFiles(packages=[("incumbent.web", "static")])),
    ]
    trouble = partial(_trouble, show, dashboard.task(config))
    errors = (HTTPException, UnknownVersion, DataError, DecisionRefused, StorageError, Exception)
    return Starlette(routes=routes, exception_handlers=dict.fromkeys(errors, trouble))


def environment(config: Config) -> Environment:
    """The templates: everything is escaped, and a missing name is an error rather than an empty place."""
    templates = Environment(
        loader=PackageLoader("incumbent.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "when": partial(words.when, zone=config.zone),
        "day": partial(words.day, zone=config.zone),
        "iso": words.iso,
        "percent": words.percent,
        "number": words.number,
        "phrase": words.phrase,
        "signed": words.signed,
        "value": words.value,
        "segment": partial(quote, safe=""),
    }
    return templates


def _dashboard(facts: Facts, config: Config, request: Request) -> Page:
    before = request.query_params.get("before")
    if before is not None and not (before.isascii() and before.isdecimal() and len(before) <= 18):
        raise DataError(f"before = {before[:40]!r}: expected the sequence number of an event, a whole number")
    every = "all" in request.query_params
    return dashboard.page(facts, config, None if before is None else int(before), every)


def _version(facts: Facts, config: Config, request: Request) -> Page:
    return versions.page(facts, config, request.path_params["name"])


def _trial(facts: Facts, config: Config, request: Request, steers: bool) -> Page:
    try:
        return trial.page(facts, config, request.path_params["name"], steers=steers)
    except DecisionRefused as error:
        raise HTTPException(404, str(error)) from None


def _review(facts: Facts, config: Config, request: Request) -> Page:
    return review.page(facts, config, "every" in request.query_params)


def _html(show: Callable[..., Response], template: str, reading: Reading) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        return show(template, reading(request), twin=_twin_of(request))

    return endpoint


def _twin(reading: Reading) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        return _json(reading(request))

    return endpoint


def _json(page: Page, status: int = 200, headers: Mapping[str, str] = HEADERS) -> Response:
    text = json.dumps(page, ensure_ascii=False, indent=1)
    return Response(text, status, headers=headers, media_type="application/json")


def _show(
    templates: Environment,
    template: str,
    page: Page,
    *,
    twin: str = "",
    status: int = 200,
    headers: Mapping[str, str] = HEADERS,
) -> Response:
    text = templates.get_template(template).render(**page, twin=twin)
    return Response(text, status, headers=headers, media_type="text/html")


def _twin_of(request: Request) -> str:
    path = quote("/index.json" if request.url.path == "/" else f"{request.url.path}.json")
    return f"{path}?{request.url.query}" if request.url.query else path


def _picture(pictures: Pictures, request: Request) -> Response:
    """A stored picture. With `v`, the start of its digest, it is kept for good; without, asked for again."""
    name = request.path_params["name"]
    svg = pictures.get(name)
    if svg is None:
        there = ", ".join(pictures.names()) or "none"
        raise HTTPException(404, f"no picture is called {name!r}; there are: {there}")
    digest = hashlib.sha256(svg).hexdigest()
    asked = request.query_params.get("v", "")
    lasting = FOREVER if len(asked) >= 16 and digest.startswith(asked) else "no-cache"
    headers = {**PICTURE_HEADERS, "ETag": f'"{digest}"', "Cache-Control": lasting}
    if request.headers.get("if-none-match") == f'"{digest}"':
        return Response(status_code=304, headers=headers)
    return Response(svg, headers=headers, media_type="image/svg+xml")


def _trouble(show: Callable[..., Response], task: Page, request: Request, error: Exception) -> Response:
    """Every error as a page or its twin. What a store or a mistake of ours says stays in the server's log."""
    status, said = 500, "This page could not be made. The server's log says why."
    if isinstance(error, HTTPException):
        status, said = error.status_code, error.detail
        if status == 404 and said == "Not Found":
            said = f"There is nothing at {request.url.path}."
    elif isinstance(error, UnknownVersion | DataError | DecisionRefused):
        status, said = error.status, str(error)
    elif isinstance(error, StorageError):
        status, said = 503, "The store cannot be read now. The server's log says why; answers may go on."
        _LOGGER.error("%s: %s", type(error).__name__, error)
    if request.url.path.endswith(".json"):
        return _json({"error": {"type": type(error).__name__, "message": said}}, status)
    page: dict[str, Any] = {"task": task, "status": status, "said": said}
    return show("trouble.html", page, status=status)
