"""Requests drawn from the OpenAPI document by schemathesis: whatever fits it (or nearly does) gets an answer that the
document names."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from incumbent.server.access import Access
from incumbent.server.openapi import document

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
sites = import_module("sites")

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def url(tmp_path_factory: Any, run_once: Any) -> str:
    """One server for all paths."""
    folder = sites.project(tmp_path_factory.mktemp("schema"))
    return str(run_once(folder, guard=Access()).url)


@schema.parametrize()
@settings(max_examples=20)
def test_every_answer_is_in_the_document(case: Any, url: str) -> None:
    """Status, content type and shape; never a 5xx."""
    case.call_and_validate(base_url=url, checks=CHECKS)
