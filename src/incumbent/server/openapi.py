"""The OpenAPI 3.1 document: every path, body and status. The tests hold real answers against it."""

from functools import cache
from importlib.metadata import version
from typing import Any

from incumbent.server.access import OPEN

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_ID: Schema = {"type": ["string", "integer"], "description": "Text of 1 to 200 characters, or an integer."}
_TIME: Schema = {
    "type": ["string", "integer"],
    "description": "ISO 8601 (without an offset: UTC), or microseconds since 1970 UTC.",
}
_LABEL: Schema = {"type": ["string", "number", "boolean"]}
_OPEN: Schema = {"type": "object"}
_DRY_RUN: Schema = {"type": "boolean", "description": "Only say what would happen, or why it would be refused."}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None, closed: bool = True) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }
    return {**found, "additionalProperties": False} if closed else found


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_SCHEMAS: dict[str, Schema] = {
    "PredictRequest": _object({"rows": {**_list(_ref("Row")), "minItems": 1}}, closed=False),
    "Row": _object(
        {
            "features": {
                "type": "object",
                "description": "A value for each feature of the incumbent. Extra "
                "ones and unseen categories are accepted, missing ones are null.",
            }
        },
        {
            "id": _ID,
            "at": _TIME,
            "unit": {"type": ["string", "integer", "null"], "description": "Who is assigned in a trial."},
        },
        closed=False,
    ),
    "PredictResponse": _object({"predictions": _list(_ref("Prediction"))}),
    "Prediction": _object(
        {
            "id": _TEXT,
            "prediction": _LABEL,
            "probabilities": {
                "type": ["object", "null"],
                "additionalProperties": {"type": "number"},
                "description": "By class; null where numbers are predicted.",
            },
            "version": {**_TEXT, "description": "The version that was assigned."},
            "served_by": {**_TEXT, "description": "The version that answered."},
            "fallback_reason": {
                **_MAYBE_TEXT,
                "description": "Why the assigned version did not answer: error, timeout, "
                "bad_output, died, memory, breaker_open, not_loaded.",
            },
        }
    ),
    "OutcomesRequest": _object({"outcomes": {**_list(_ref("Outcome")), "minItems": 1}}, closed=False),
    "Outcome": _object(
        {"id": _ID, "value": _LABEL}, {"name": {**_TEXT, "default": "label"}, "known_at": _TIME}, closed=False
    ),
    "OutcomeCounts": _object(
        {"accepted": _COUNT, "pending": _COUNT, "repeated": _COUNT, "corrected": _COUNT, "late": _COUNT}
    ),
    "Followed": _object({"sequence": _COUNT, "shadow_backlog": _COUNT, "shadow_dropped": _COUNT}),
    "Status": _object(
        {
            "sequence": _COUNT,
            "shadow_backlog": _COUNT,
            "shadow_dropped": _COUNT,
            "task": _TEXT,
            "kind": _TEXT,
            "metric": _TEXT,
            "ready": {"type": "boolean"},
            "clock": {"enum": ["wall", "replay"]},
            "durability": _TEXT,
            "uptime_s": {"type": "number"},
            "routes": {"type": ["object", "null"]},
            "trial": {"type": ["object", "null"]},
            "versions": _list(_TEXT),
            "not_loaded": _OPEN,
            "breakers": _OPEN,
            "counts": _OPEN,
        }
    ),
    "Versions": _object(
        {"versions": _list(_object({"name": _TEXT, "runtime": _TEXT, "role": _MAYBE_TEXT}, closed=False))}
    ),
    "Ledger": _object({"events": _list(_ref("Event"))}),
    "Event": _object(
        {
            "sequence": _COUNT,
            "type": _TEXT,
            "at": {"type": "integer"},
            "recorded_at": {"type": "integer"},
            "actor": _TEXT,
            "reason": _TEXT,
            "data": _OPEN,
            "measured": _OPEN,
            "previous_hash": _TEXT,
            "hash": _TEXT,
        }
    ),
    "Trials": _object(
        {
            "trials": _list(
                _object(
                    {
                        "name": _TEXT,
                        "challenger": _TEXT,
                        "incumbent": _TEXT,
                        "mode": {"enum": ["shadow", "split"]},
                        "verdict": _MAYBE_TEXT,
                    },
                    closed=False,
                )
            )
        }
    ),
    "PromoteRequest": _object(
        {"version": _TEXT, "reason": _TEXT},
        {
            "override": {"type": "boolean", "description": "A verdict of the gate against it is not followed."},
            "dry_run": _DRY_RUN,
        },
    ),
    "RollbackRequest": _object({"reason": _TEXT}, {"dry_run": _DRY_RUN}),
    "StartRequest": _object(
        {"version": _TEXT, "reason": _TEXT},
        {
            "mode": {"enum": ["shadow", "split", None], "description": "Without one: live.mode."},
            "enrolled": {
                "type": ["number", "null"],
                "description": "The share of the units that takes part in a split. Without one: the first step of "
                "live.enrol.",
            },
            "dry_run": _DRY_RUN,
        },
    ),
    "StopRequest": _object({"reason": _TEXT}, {"dry_run": _DRY_RUN}),
    "EnrolRequest": _object(
        {
            "enrolled": {"type": "number", "description": "The share of the units, larger than now, up to 1."},
            "reason": _TEXT,
        },
        {"dry_run": _DRY_RUN},
    ),
    "PhaseRequest": _object(
        {"reason": _TEXT},
        {
            "enrolled": {
                "type": ["number", "null"],
                "description": "The share of the units, above 0 and up to 1. Without one: as it is.",
            },
            "dry_run": _DRY_RUN,
        },
    ),
    "Done": _object(
        {
            "sequence": {**_COUNT, "description": "Of the new event; of the last one where nothing was done."},
            "type": {**_MAYBE_TEXT, "description": "Of the new event; null where `dry_run` asked to do nothing."},
            "sentence": {**_TEXT, "description": "What happened; what would happen where nothing was done."},
            "data": _OPEN,
        }
    ),
    "Health": _object({"alive": {"const": True}}),
    "Readiness": _object({"ready": {"type": "boolean"}, "reason": _MAYBE_TEXT}),
    "Error": _object(
        {
            "error": _object(
                {"type": _TEXT, "message": _TEXT},
                {
                    "row": _COUNT,
                    "column": _MAYBE_TEXT,
                    "expected": _TEXT,
                    "found": {"type": ["string", "number", "boolean", "null"]},
                },
            )
        }
    ),
}

_WHY = {
    400: "The body is not JSON.",
    401: "There are tokens, and none that we know was sent.",
    403: "The token has another scope, or another site's page asks.",
    404: "No such path, or no such version.",
    405: "Another method is expected.",
    409: "The id came before with other features; or the ledger does not allow this move.",
    413: "The body, or the number of rows, is too large.",
    422: "A row is wrong: the error names row, column, value found and what was expected. Nothing is logged.",
    503: "The store is full or locked, no version answers, or too many rows wait. Nothing is logged.",
}


def _answers(schema: str, *errors: int) -> dict[str, Any]:
    return {"200": _content("Done.", schema)} | {str(code): _content(_WHY[code], "Error") for code in errors}


def _content(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(schema)}}}


def _post(summary: str, takes: str | None, answers: dict[str, Any]) -> dict[str, Any]:
    body = (
        {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(takes)}}}} if takes else {}
    )
    return {"post": {"summary": summary, **body, "responses": answers}}


def _get(summary: str, answers: dict[str, Any], *parameters: str) -> dict[str, Any]:
    queries = [{"name": name, "in": "query", "schema": _COUNT} for name in parameters]
    return {"get": {"summary": summary, **({"parameters": queries} if queries else {}), "responses": answers}}


def _named(operations: dict[str, Any]) -> dict[str, Any]:
    return {**operations, "parameters": [{"name": "name", "in": "path", "required": True, "schema": _TEXT}]}


def _of_trial(summary: str, takes: str) -> dict[str, Any]:
    return _named(_post(summary, takes, _answers("Done", 400, 409, 413, 422, 503)))


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "incumbent",
            "version": version("incumbent"),
            "description": "Predictions from the version that earned its place; the truth that comes later.",
        },
        "security": [{"token": []}, {}],
        "paths": {path: _guarded(path, operations) for path, operations in _paths().items()},
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Needed once there is a token."}
            },
        },
    }


def _paths() -> dict[str, Any]:
    unready = {"503": _content("No version is loaded, or the store cannot be written.", "Readiness")}
    return {
        "/v1/predict": _post(
            "Answer rows; each answer is in the log before it leaves.",
            "PredictRequest",
            _answers("PredictResponse", 400, 409, 413, 422, 503),
        ),
        "/v1/outcomes": _post(
            "Tell what became known about predictions.",
            "OutcomesRequest",
            _answers("OutcomeCounts", 400, 413, 422, 503),
        ),
        "/v1/follow": _post("Read the ledger now instead of at the next poll.", None, _answers("Followed", 503)),
        "/v1/status": _get("What this process does now.", _answers("Status")),
        "/v1/versions": _get("Every registered version, and the place it holds.", _answers("Versions")),
        "/v1/ledger": _get("Events in order.", _answers("Ledger", 422, 503), "after", "limit"),
        "/v1/trials": {
            **_get("Every trial, and how it ended.", _answers("Trials", 503)),
            **_post(
                "Start a trial of a version against the incumbent, after it repeated its golden rows.",
                "StartRequest",
                _answers("Done", 400, 404, 409, 413, 422, 503),
            ),
        },
        "/v1/promote": _post(
            "Make a version the incumbent, after it repeated its golden rows.",
            "PromoteRequest",
            _answers("Done", 400, 404, 409, 413, 422, 503),
        ),
        "/v1/rollback": _post(
            "Take the incumbent back: the one before answers again, after it repeated its golden rows.",
            "RollbackRequest",
            _answers("Done", 400, 409, 413, 422, 503),
        ),
        "/v1/trials/{name}/stop": _of_trial("End the running trial: the incumbent stays.", "StopRequest"),
        "/v1/trials/{name}/enrol": _of_trial("Let more units take part in the running trial.", "EnrolRequest"),
        "/v1/trials/{name}/phase": _of_trial(
            "Begin a new phase of the running trial: units are dealt anew, and what came before leaves the decision.",
            "PhaseRequest",
        ),
        "/metrics": _get(
            "The numbers of every answering process, as Prometheus reads them.",
            {"200": {"description": "Prometheus text or OpenMetrics.", "content": {"text/plain": {"schema": _TEXT}}}},
        ),
        "/healthz": _get("The process is alive.", _answers("Health")),
        "/readyz": _get(
            "A version is loaded and proved, and the store can be written.",
            _answers("Readiness") | unready,
        ),
        "/openapi.json": _get(
            "This document.",
            {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {"schema": _OPEN}}}},
        ),
    }


def _guarded(path: str, operations: dict[str, Any]) -> dict[str, Any]:
    """What a path may answer before its door is reached."""
    if path in OPEN:
        return operations
    refusals = {str(code): _content(_WHY[code], "Error") for code in (401, 403)}
    return {
        key: {**found, "responses": found["responses"] | refusals} if key in ("get", "post") else found
        for key, found in operations.items()
    }
