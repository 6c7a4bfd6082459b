"""Answers to questions about this site, from the console or from people on this machine."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from isthmus.explain import EndpointHealth, Health, explain, explanation_document
from isthmus.protocol import QueryFailed
from isthmus.site.egress import LocalEndpoint

if TYPE_CHECKING:
    from isthmus.site.agent import SiteAgent


def answer(agent: SiteAgent, kind: str, body: bytes) -> bytes:
    """JSON to JSON.

    Raises QueryFailed: "unsupported" for a kind that is unknown, "invalid" for a question that cannot be understood,
    "not_ready" before the site has applied anything.
    """
    if kind == "status":
        return agent.report()
    if kind == "explain":
        return _explain(agent, body)
    raise QueryFailed("unsupported", f"This site does not answer {kind!r}.")


def _explain(agent: SiteAgent, body: bytes) -> bytes:
    if agent.plan is None:
        raise QueryFailed("not_ready", "This site has not applied any configuration yet.")
    url, method, headers = _parse(body)
    local = {
        (each.cluster, each.name): EndpointHealth(each.healthy, _reason(each)) for each in agent.egress.endpoints()
    }
    health = Health(agent.ingress.choices(), local)
    try:
        explanation = explain(url, method, headers, agent.plan.intent, health)
    except ValueError as error:
        raise QueryFailed("invalid", f"{error}.") from None
    return json.dumps(explanation_document(explanation), ensure_ascii=False).encode()


def _reason(endpoint: LocalEndpoint) -> str:
    """With the time since when it is so."""
    if endpoint.since is None:
        return endpoint.reason
    return f"{endpoint.reason} since {datetime.fromtimestamp(endpoint.since, UTC).isoformat(timespec='seconds')}"


def _parse(body: bytes) -> tuple[str, str, dict[str, str]]:
    try:
        document: dict[str, Any] = json.loads(body)
        headers = {str(name): str(value) for name, value in (document.get("headers") or {}).items()}
        return str(document["url"]), str(document.get("method") or "GET"), headers
    except (ValueError, KeyError, TypeError, AttributeError):
        text = "The question needs a JSON object with url, and may have method and headers."
        raise QueryFailed("invalid", text) from None
