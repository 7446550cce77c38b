"""The OpenAPI document is true: it names every path, and real answers and errors fit its schemas."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from incumbent.server import control
from incumbent.server.openapi import document

ROW = {"features": {"hour": 5, "carrier": "UA"}}
REQUESTS: list[tuple[str, str, Any]] = [
    ("post", "/v1/predict", {"rows": [{**ROW, "id": "a"}, {**ROW, "unit": 7, "at": "2020-01-01T00:00:00Z"}]}),
    ("post", "/v1/predict", {"rows": [{"features": {"hour": "x"}}]}),
    ("post", "/v1/predict", {"rows": []}),
    ("post", "/v1/predict", {"rows": [ROW] * 501}),
    ("post", "/v1/predict", None),
    ("post", "/v1/outcomes", {"outcomes": [{"id": "a", "value": 1}]}),
    ("post", "/v1/outcomes", {"outcomes": [{"id": "a", "value": "late"}]}),
    ("post", "/v1/follow", {}),
    ("get", "/v1/status", None),
    ("get", "/v1/versions", None),
    ("get", "/v1/ledger", None),
    ("get", "/v1/ledger?after=-1", None),
    ("get", "/v1/trials", None),
    ("get", "/healthz", None),
    ("get", "/readyz", None),
]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document()["components"]})


def test_the_document_and_the_server_name_the_same_paths(server: Any) -> None:
    """And the same methods."""
    served = {path: set(methods) for path, methods in server.door._paths.items()}
    for path in control.PATHS:
        served[path] = served.get(path, set()) | {"POST"}
    served["/metrics"] = {"GET"}
    documented = {
        path: {m.upper() for m in methods if m != "parameters"} for path, methods in document()["paths"].items()
    }
    assert documented == served
    assert server.http.get("/openapi.json").json() == document()


@pytest.mark.parametrize("name", list(document()["components"]["schemas"]))
def test_each_schema_is_one(name: str) -> None:
    """By the rules of JSON Schema 2020-12, which OpenAPI 3.1 uses."""
    Draft202012Validator.check_schema(document()["components"]["schemas"][name])


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS, ids=str)
def test_real_answers_fit_the_document(server: Any, site: Any, method: str, path: str, body: Any) -> None:
    """The status is documented for this path, and the body fits the schema of that status."""
    site.shadow("v2")
    server.http.post("/v1/follow")
    response = server.http.request(method, path, **({} if method == "get" or body is None else {"json": body}))
    operation = document()["paths"][path.split("?")[0]][method]
    found = operation["responses"][str(response.status_code)]
    validator(found["content"]["application/json"]["schema"]).validate(response.json())
    if response.status_code == 200 and body is not None and "requestBody" in operation:
        validator(operation["requestBody"]["content"]["application/json"]["schema"]).validate(body)
