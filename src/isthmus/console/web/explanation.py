"""Explain: why a request goes where it goes, asked of the site that it enters."""

from typing import Any

from fastapi import APIRouter, Response

from isthmus.console.api.answer import ExplainRequest
from isthmus.console.api.status import explain as api_explain
from isthmus.console.error import RequestRefused
from isthmus.console.web.page import PageRoute, show
from isthmus.console.web.visit import Reader
from isthmus.model.key import DEFAULT_TENANT

router = APIRouter(route_class=PageRoute, include_in_schema=False)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@router.get("/explain")
async def explain(visit: Reader) -> Response:
    """The form, and the answer to what the address asks."""
    url, site, method = visit.query("url").strip(), visit.query("from"), visit.query("method", "GET")
    answer: dict[str, Any] | None = None
    problem = ""
    if url and site:
        body = ExplainRequest.model_validate(
            {"url": url, "method": method, "from": site, "headers": parse_headers(visit.query("headers"))}
        )
        try:
            answer = await api_explain(body, visit.context, visit.caller)
        except RequestRefused as refused:
            problem = refused.message
    sites = [record.object.key.name for record in visit.context.deployment.of_kind("Site", DEFAULT_TENANT)]
    domains = sorted(
        {
            domain
            for record in visit.context.deployment.of_kind("VirtualHost", DEFAULT_TENANT)
            for domain in getattr(record.object.spec, "domains", ())
            if "*" not in domain
        }
    )
    return show(
        visit, "explain.html", title="Explain", answer=answer, problem=problem, sites=sites, methods=METHODS,
        domains=domains[:200], url=url, site=site, method=method, headers=visit.query("headers"),
    )  # fmt: skip


def parse_headers(text: str) -> dict[str, str]:
    """Headers from lines of `name: value`."""
    lines = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in lines if colon and name.strip()}
