"""Endpoints as an OpenAPI document that tools accept."""

import json

from openapi_spec_validator import OpenAPIV31SpecValidator

from isthmus.interface.endpoint import list_endpoints
from isthmus.interface.openapi import emit_openapi

from .request import call, learned

CALLS = [
    *(call(f"/v1/users/{number}/orders/{number}-x.json") for number in range(20)),
    *(call(f"/v1/users/{number}", "PUT", 204, credential="header") for number in range(20)),
    *(call(f"/v1/users/{number}?fields=name&page=2", credential="header") for number in range(20)),
    *(call(f"/v1/days/2026-01-{number:02}") for number in range(10, 30)),
    call("/"),
    call("/v1/users/"),
    call("/v1/users"),
    call("/v1/users", "POST", 201, credential="certificate"),
    call("/v1/users/7", "PUT", 401),
    call("/v1/users/7", "PUT", 799, credential="header"),
]


def test_it_is_valid_and_tells_what_was_seen() -> None:
    document = emit_openapi("shop/site", ["shop.example"], list_endpoints(learned(CALLS)))
    OpenAPIV31SpecValidator(json.loads(json.dumps(document))).validate()
    assert document["servers"] == [{"url": "https://shop.example"}]
    user = document["paths"]["/v1/users/{userId}"]
    assert set(user) == {"get", "put"}
    assert user["put"]["security"] == [{"authorization": []}]
    assert set(user["put"]["responses"]) == {"204", "401"}
    assert [(each["name"], each["in"]) for each in user["get"]["parameters"]] == [
        ("userId", "path"), ("fields", "query"), ("page", "query"),
    ]  # fmt: skip
    day = next(path for path in document["paths"] if path.startswith("/v1/days/"))
    assert document["paths"][day]["get"]["parameters"][0]["schema"] == {"type": "string", "format": "date"}
    assert document["paths"]["/v1/users"]["post"]["security"] == [{"certificate": []}]
    assert "security" not in document["paths"]["/"]["get"]
    identifiers = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(identifiers) == len(set(identifiers))


def test_an_api_of_which_nothing_is_known_is_a_document_too() -> None:
    OpenAPIV31SpecValidator(emit_openapi("shop/site", [], [])).validate()
