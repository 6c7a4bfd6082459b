"""AlertReceiver and AlertPolicy: what is refused at apply."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.model.alert_policy import AlertPolicySpec
from isthmus.model.alert_receiver import AlertReceiverSpec
from isthmus.model.document import parse_documents
from isthmus.model.validation import validate

MAIL = {"to": ["a@example.org"], "sender": "b@example.org", "host": "mail.example.org"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "set exactly one of webhook, slack, pagerDuty and email"),
        ({"webhook": {"url": "https://a.example"}, "email": MAIL}, "set exactly one of"),
        ({"webhook": {}}, "set exactly one of url and urlSecret"),
        ({"webhook": {"url": "ftp://a.example"}}, "is not a URL"),
        ({"webhook": {"url": "https://a.example:port/"}}, "is not a URL"),
        ({"webhook": {"url": "https://me:secret@a.example"}}, "must have no user"),
        ({"webhook": {"url": "http://a.example", "bearerToken": {"name": "t"}}}, "could be read on its way"),
        ({"pagerDuty": {"routingKey": {"name": "k"}, "url": "http://a.example"}}, "could be read on its way"),
        ({"email": {**MAIL, "to": []}}, "at least 1 item"),
        ({"email": {**MAIL, "to": ["a@example.org\nBcc: b@example.org"]}}, "is not an e-mail address"),
        ({"email": {**MAIL, "sender": "nobody"}}, "is not an e-mail address"),
        ({"email": {**MAIL, "host": "a b"}}, "is not the name or address of a host"),
        ({"email": {**MAIL, "username": "me"}}, "set both username and password"),
        ({"email": {**MAIL, "username": "me", "password": {"name": "p"}, "tls": "NONE"}}, "use STARTTLS or TLS"),
    ],
)
def test_receivers(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AlertReceiverSpec.model_validate_json(json.dumps(spec))


@pytest.mark.parametrize(("tls", "port"), [("STARTTLS", 587), ("TLS", 465), ("NONE", 25)])
def test_the_port_of_a_mail_server_follows_its_encryption(tls: str, port: int) -> None:
    email = AlertReceiverSpec.model_validate_json(json.dumps({"email": {**MAIL, "tls": tls}})).email
    assert email is not None
    assert email.server_port == port


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"receivers": []}, "at least 1 item"),
        ({"receivers": [{"name": "a"}], "match": {"rules": ["sight-offline"]}}, "site-offline"),
        ({"receivers": [{"name": "a"}], "groupInterval": "2h", "repeatInterval": "1h"}, "must not be shorter"),
    ],
)
def test_policies(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AlertPolicySpec.model_validate_json(json.dumps(spec))


def test_what_refers_to_nothing_or_is_never_seen() -> None:
    def document(kind: str, spec: Any) -> dict[str, Any]:
        return {"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}

    parsed = parse_documents([
        document("AlertPolicy", {"receivers": [{"name": "none"}], "match": {"namespaces": ["bank"]}}),
        document("AlertReceiver", {"slack": {"urlSecret": {"namespace": "bank", "name": "url"}}}),
        document("AlertReceiver", {"pagerDuty": {"routingKey": {"name": "none"}}}) | {
            "metadata": {"name": "b"}
        },
    ])  # fmt: skip
    found = validate({obj.key: obj for obj in parsed.objects})
    assert [(each.code, each.field) for each in found] == [
        ("unseen-namespace", "spec.match.namespaces"),
        ("dangling-reference", "spec.receivers[0]"),
        ("foreign-namespace", "spec.slack.urlSecret.namespace"),
        ("dangling-reference", "spec.pagerDuty.routingKey"),
    ]
