"""The OpenAPI document: that it is one, that it says what the endpoints do, and how answers beside JSON look in it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator
from rest_framework.response import Response

from agentapp import __version__
from agentapp.api import openapi, problems
from agentapp.api.contract import document
from agentapp.api.contract.auto_schema import UndeclaredMethod
from agentapp.api.contract.components import TwoOfOneName
from agentapp.api.contract.operation import Operation, one
from agentapp.api.contract.parameters import UnknownParameter
from agentapp.api.endpoint import Endpoint
from agentapp.api.urls import ADDRESSES
from tests.api import contract_samples, documented
from tests.api.conftest import Api

DOCUMENT = openapi.current()
METHODS = [
    (f"{method} /{address}", endpoint, method)
    for address, endpoint in ADDRESSES.items()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    if hasattr(endpoint, method.lower())
]


def test_it_is_an_openapi_document_of_every_address() -> None:
    validate_schema(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == __version__
    assert list(DOCUMENT["paths"]) == [f"/{address}" for address in ADDRESSES]


def test_its_schemas_are_json_schemas_and_their_examples_fit() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        for example in schema.get("examples", ()):
            errors = list(documented.validator({"$ref": f"#/components/schemas/{name}"}).iter_errors(example))
            assert not errors, (name, errors)


def test_the_examples_of_problems_are_whole_problem_documents() -> None:
    shown = set()
    for response in DOCUMENT["components"]["responses"].values():
        media = response["content"][problems.MEDIA_TYPE]
        for slug, example in media["examples"].items():
            assert not list(documented.validator(media["schema"]).iter_errors(example["value"]))
            shown.add(slug)
    # An address that does not answer to a method has no operation that could name this.
    assert shown == set(problems.KINDS) - {"method-not-allowed"}


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    referred = set(re.findall(r'"\$ref": "#/components/(\w+)/([^"]+)"', json.dumps(DOCUMENT)))
    parts = {(kind, name) for kind, found in DOCUMENT["components"].items() for name in found}
    assert parts - {("securitySchemes", "Bearer")} == referred


def test_operations_have_ids_of_their_own_and_a_summary_without_a_full_stop() -> None:
    operations = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []
    assert [text for item in operations if not re.fullmatch(r"[A-Z].*[^.]", text := item["summary"])] == []


@pytest.mark.parametrize(("name", "endpoint", "method"), METHODS, ids=[name for name, *_ in METHODS])
def test_what_is_declared_is_what_the_method_reads(name: str, endpoint: type[Endpoint], method: str) -> None:
    declared = endpoint.contract[method]
    source = inspect.getsource(getattr(endpoint, method.lower()))
    module = inspect.getmodule(getattr(endpoint, method.lower()))

    def read(reader: str) -> Any:
        found = re.search(rf"\b{reader}\.read\(request, ([\w.]+)[,)]", source)
        return eval(found[1], vars(module), {"self": endpoint}) if found else None

    assert declared.query is read("query")
    assert declared.body is read("body")


def test_a_method_without_a_declaration_is_an_error() -> None:
    class Silent(Endpoint):
        def get(self, request: Any) -> Response:
            raise NotImplementedError

    with pytest.raises(UndeclaredMethod, match=r"Silent\.contract has no operation for GET"):
        document.build({"silent": Silent})


def test_a_parameter_that_is_no_id_must_be_explained() -> None:
    with pytest.raises(UnknownParameter, match=r"\{colour\}"):
        document.build({"things/{colour}": contract_samples.Things})


def test_two_types_of_one_name_are_an_error() -> None:
    class Others(Endpoint):
        contract = {"GET": Operation("get_other", "Read", answers={200: one(contract_samples.other_thing())})}

        def get(self, request: Any) -> Response:
            raise NotImplementedError

    with pytest.raises(TwoOfOneName, match="Thing"):
        document.build(contract_samples.ADDRESSES | {"others": Others})


def test_a_kind_of_problem_that_does_not_exist_is_an_error() -> None:
    class Wrong(Endpoint):
        contract = {"GET": Operation("get_wrong", "Read", answers={}, problems=("no-such",))}

        def get(self, request: Any) -> Response:
            raise NotImplementedError

    with pytest.raises(KeyError, match="no-such"):
        document.build({"wrong": Wrong})


@pytest.fixture(scope="module")
def samples() -> Iterator[Any]:
    made = contract_samples.document()
    validate_schema(made)
    yield made


def test_a_body_a_scope_and_a_header_are_shown(samples: Any) -> None:
    post = samples["paths"]["/things"]["post"]
    assert samples["servers"] == [{"url": "/below"}]
    assert post["security"] == [{"Bearer": ["tasks:write"]}]
    assert post["x-required-scope"] == "tasks:write"
    assert post["description"] == "A thing of that name.\n\nNeeds a key with the scope `tasks:write`."
    assert post["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/NewThing")
    assert samples["components"]["schemas"]["NewThing"]["additionalProperties"] is False
    assert list(post["responses"]["201"]["headers"]) == ["Location"]
    assert {"401", "403", "415", "422"} <= set(post["responses"])


def test_a_stream_of_events_has_the_type_of_its_data(samples: Any) -> None:
    stream = samples["paths"]["/things/{thing_id}/stream"]["get"]
    media = stream["responses"]["200"]["content"]["text/event-stream"]
    assert media["x-event-data"]["$ref"].endswith("/ThingMoved")
    assert "content" not in stream["responses"]["204"]
    assert [(item["in"], item["name"]) for item in stream["parameters"]] == [
        ("path", "thing_id"),
        ("header", "Last-Event-ID"),
    ]
    assert stream["parameters"][0]["schema"]["format"] == "uuid"
    assert stream["responses"]["429"]["$ref"].endswith("/too-many-tasks")


def test_a_file_can_be_asked_for_in_parts(samples: Any) -> None:
    got = samples["paths"]["/files/{number}"]["get"]
    assert got["security"] == [{}]
    assert not {"401", "403"} & set(got["responses"])
    assert got["responses"]["206"]["content"] == {"*/*": {}}
    assert list(got["responses"]["206"]["headers"]) == ["Content-Range", "Content-Disposition"]
    assert got["responses"]["304"]["headers"]["ETag"]["required"]
    assert got["parameters"][0]["schema"] == {"type": "integer"}


def test_a_webhook_is_a_request_that_we_send(samples: Any) -> None:
    post = samples["webhooks"]["thing.moved"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ThingMoved")
    assert post["parameters"][0]["name"] == "X-Signature"


@pytest.mark.django_db
def test_the_document_is_served_to_everybody_and_kept_by_its_tag() -> None:
    answer = Api().get("/schema")
    assert answer.json() == DOCUMENT
    assert "public" in answer.headers["Cache-Control"]
    again = Api(**{"If-None-Match": answer.headers["ETag"]}).get("/schema/")
    assert (again.status_code, again.content) == (304, b"")
