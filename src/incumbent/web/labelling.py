"""The addresses of the page on which people label: what may be asked of it, by whom, with which headers.

In: the stored facts. Out: routes. It is the one page that sends a form and runs a script (a file of ours, for the keys
and the time), so its headers allow these two and nothing more; a picture of another host only where a row names one.
"""

from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qs, quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from incumbent.config import Config
from incumbent.storage.opening import Facts
from incumbent.web import label
from incumbent.web.label import Page, Person

COOKIE = "incumbent_reviewer"
MOST_BYTES = 10_000
"""Of a form; ours have some hundred."""
Show = Callable[..., Response]
Keeping = Callable[[Facts, Person, dict[str, str]], str]


def routes(facts: Facts, config: Config, show: Show, as_json: Show) -> list[Route]:
    """Pages, their twins, and where they post to."""

    def labelling(request: Request) -> Page:
        return label.page(facts, config, person(request), dict(request.query_params))

    def settling(request: Request) -> Page:
        return label.settling(facts, config, person(request))

    def html(reading: Callable[[Request], Page], request: Request) -> Response:
        found = reading(request)
        return show("label.html", found, headers=headers(found))

    def twin(reading: Callable[[Request], Page], request: Request) -> Response:
        found = reading(request)
        return as_json(found, headers=headers(found))

    return [
        Route("/label.json", partial(twin, labelling)),
        Route("/label", partial(html, labelling), methods=["GET"]),
        Route("/label", partial(_post, facts, label.answer), methods=["POST"]),
        Route("/label/settle.json", partial(twin, settling)),
        Route("/label/settle", partial(html, settling), methods=["GET"]),
        Route("/label/settle", partial(_post, facts, label.settle), methods=["POST"]),
        Route("/label/name", _name, methods=["POST"]),
        Route("/label/picture/{place:int}", partial(_picture, facts)),
    ]


def headers(page: Page) -> dict[str, str]:
    """What this page may do."""
    sources = " ".join(["'self'", "data:", *label.hosts(page)])
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'self'; script-src 'self'; img-src {sources}; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def person(request: Request) -> Person | None:
    """The holder of the token; without tokens whoever this browser says it is."""
    holder = request.scope.get("incumbent.who")
    if holder is not None:
        return Person(holder, by_token=True)
    said = request.cookies.get(COOKIE)
    return None if said is None else Person(label.checked_name(unquote(said)))


async def _post(facts: Facts, keep: Keeping, request: Request) -> Response:
    """The answer is in the log before the browser is sent on."""
    who = person(request)
    if who is None:
        return RedirectResponse("/label", 303)
    return RedirectResponse(await run_in_threadpool(keep, facts, who, await form(request)), 303)


async def _name(request: Request) -> Response:
    """Remember in this browser who labels here."""
    name = label.checked_name((await form(request)).get("name", ""))
    answer = RedirectResponse("/label", 303)
    answer.set_cookie(COOKIE, quote(name), max_age=90 * 86_400, path="/", httponly=True, samesite="strict")
    return answer


async def form(request: Request) -> dict[str, str]:
    """The fields of a form that was posted; 413 for a large one, 422 for what is none."""
    size, parts = 0, []
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise HTTPException(413, f"found a form of more than {MOST_BYTES:,} bytes, expected some words")
        parts.append(part)
    try:
        found = parse_qs(b"".join(parts).decode(), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise HTTPException(422, "found a form that cannot be read, expected that of the page") from None
    return {name: values[-1] for name, values in found.items()}


def _picture(facts: Facts, request: Request) -> Response:
    """A file that a row names, as it was when the study began."""
    found = label.picture(facts, request.path_params["place"], request.query_params.get("column", ""))
    if found is None:
        raise HTTPException(404, "this row names no such picture")
    policy = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
    return Response(found[0], headers={**policy, "Cache-Control": "no-store"}, media_type=found[1])
