"""What a route refuses, and why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.model.route import RouteSpec
from isthmus.model.variable import check_template
from isthmus.model.virtual_host import VirtualHostSpec

CLUSTERS = {"clusters": [{"cluster": {"name": "web"}}]}


def forward(**more: Any) -> dict[str, Any]:
    return {"forward": CLUSTERS | more}


def parse(spec: dict[str, Any]) -> RouteSpec:
    return RouteSpec.model_validate_json(json.dumps(spec))


def edit(name: str, value: str = "v", *, what: str = "requestHeaders") -> dict[str, Any]:
    return forward() | {what: {"set": [{"name": name, "value": value}]}}


REFUSED = [
    (edit("x-isthmus-cluster"), "internal"),
    (edit(":path"), "pseudo header"),
    (edit("Host"), "hostRewrite"),
    (edit("Connection"), "RFC 9110"),
    (edit("transfer-encoding", what="responseHeaders"), "RFC 9110"),
    (edit("content-length"), "frames the message"),
    (edit("x y"), "not a header name"),
    (edit("x-a", "%RESP(x-b)%"), "before there is a response"),
    (edit("x-a", "%RESPONSE_CODE%"), "before there is a response"),
    (edit("x-a", "%NOPE%"), "not a variable"),
    (edit("x-a", "%ENVIRONMENT(HOME)%"), "not a variable"),
    (edit("x-a", "%FILE_CONTENT(/etc/shadow)%"), "not a variable"),
    (edit("x-a", "100%"), "write %% for a percent sign"),
    (edit("x-a", "%REQ(x-isthmus-hash)%"), "internal"),
    (edit("x-a", "%REQ()%"), "must name a header"),
    (edit("x-a", "%REQ(a?b?c)%"), "must name a header"),
    (edit("x-a", "%PROTOCOL(x)%"), "takes no argument"),
    (edit("x-a", "a\nb"), "control character"),
    (forward() | {"requestHeaders": {"remove": ["x-a"], "set": [{"name": "X-A", "value": "1"}]}}, "stands twice"),
    (forward(prefixRewrite="/a", regexRewrite={"pattern": "a", "substitution": ""}), "at most one"),
    (forward(regexRewrite={"pattern": "a", "substitution": "\\1"}), "the pattern has 0"),
    (forward(regexRewrite={"pattern": "a", "substitution": "\\n"}), "after a backslash"),
    (forward(hostRewrite={"literal": "a", "header": "b"}), "exactly one"),
    (forward(hostRewrite={"literal": "a b"}), "pattern"),
    (forward(hashPolicy=[{"header": "a", "ttl": "1h"}]), "for cookies"),
    (forward(hashPolicy=[{"cookie": "a", "path": "/"}]), "set ttl"),
    (forward(hashPolicy=[{"cookie": "a b", "ttl": "1h"}]), "RFC 6265"),
    (forward(hashPolicy=[{"cookie": "a", "ttl": "1h", "path": "/;Secure"}]), "cannot have"),
    (forward(hashPolicy=[{"cookie": "a", "ttl": "1h"}, {"cookie": "b", "ttl": "0s"}]), "at most one cookie"),
    (forward(retry={"backOff": "1s", "maxBackOff": "500ms"}), "shorter than backOff"),
    (forward(retry={"statusCodes": [200]}), "greater than or equal to 400"),
    (forward(mirrors=[{"cluster": {"name": "a"}, "percent": 101}]), "less than or equal to 100"),
    (forward() | {"match": [{"queryParameters": [{"name": "q", "regex": "a", "invert": True}]}]}, "cannot invert"),
    (forward() | {"match": [{"cookies": [{"name": "a", "exact": "b", "present": True}]}]}, "exactly one"),
    (forward() | {"match": [{"cookies": [{"name": "a", "exact": "b;c"}]}]}, "no cookie's value"),
    (forward() | {"match": [{"cookies": [{"name": "a=b", "present": True}]}]}, "cookie name"),
    (forward() | {"match": [{"cookies": [{"name": "a", "regex": "^b$"}]}]}, "matches the whole value anyway"),
    (forward() | {"match": [{"cookies": [{"name": "a", "regex": "b; *c"}]}]}, "can match ';'"),
    (forward() | {"match": [{"cookies": [{"name": "a", "regex": "[!-~]+"}]}]}, "can match ';'"),
    (forward() | {"match": [{"cookies": [{"name": "a", "regex": "[[:alpha:]]"}]}]}, "alpha:. is not for cookies"),
    (forward() | {"match": [{"cookies": [{"name": "a", "regex": r"\x3b"}]}]}, "is not for cookies"),
    (forward() | {"match": [{"cookies": [{"name": "a", "regex": "(ab){900}{3}"}]}]}, "RE2"),
    (forward() | {"match": [{"cookies": [{"name": "a", "regex": "[a-z]{1,1000}[0-9]{1,1000}"}]}]}, "write it shorter"),
    (forward() | {"cors": {}}, "set origins"),
    (forward() | {"cors": {"origins": [{"exact": "*"}], "credentials": True}}, "name the origins"),
    (forward() | {"fault": {"maxActive": 1}}, "set delay, abort or both"),
    (forward() | {"compression": {"contentTypes": ["text"]}}, "pattern"),
    (forward() | {"errorPages": [{"statuses": ["200"]}]}, "no error"),
    (forward() | {"errorPages": [{"statuses": ["6xx"]}]}, "no error"),
    ({"redirect": {"stripQuery": True}}, "changes nothing"),
    ({"redirect": {"path": "/a", "regex": {"pattern": "a", "substitution": "b"}}}, "at most one"),
    (
        {"directResponse": {"status": 200, "body": "a"}}
        | {"responseHeaders": {"set": [{"name": "content-type", "value": "text/html"}]}},
        "directResponse.contentType",
    ),
]


@pytest.mark.parametrize(("spec", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_refused(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        parse(spec)


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "100%%",
        "%%REQ(x)%%",
        "%PROTOCOL% from %DOWNSTREAM_REMOTE_ADDRESS%",
        "%REQ(:path)% %REQ(X-A?x-b):10%",
        "%START_TIME% %START_TIME(%Y-%m-%dT%H:%M:%S.%3f)%",
        "%QUERY_PARAM(user)%",
    ],
)
def test_accepted_variables(value: str) -> None:
    assert check_template(value, response=False) == value
    assert check_template(value + "%RESP(server)%%RESPONSE_CODE%", response=True)


def test_names_become_lower_case() -> None:
    spec = parse(edit("X-Client"))
    assert spec.request_headers.set[0].name == "x-client"


def test_virtual_host_has_the_same_options() -> None:
    spec = VirtualHostSpec.model_validate_json(
        json.dumps(
            {
                "domains": ["a.example"],
                "cors": {"origins": [{"exact": "https://a.example"}]},
                "responseHeaders": {"remove": ["server"]},
            }
        )
    )
    assert spec.cors is not None
    assert spec.response_headers.remove == ("server",)


def test_options_of_http_mean_nothing_to_connections() -> None:
    spec = {"proxy": "TCP", "domains": ["*"], "routes": [{"name": "a"}], "errorPages": [{"statuses": ["5xx"]}]}
    with pytest.raises(ValidationError, match="errorPages is for HTTP"):
        VirtualHostSpec.model_validate_json(json.dumps(spec))
