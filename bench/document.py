"""The measured numbers as a page of the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from bench.machine import Machine
from bench.report import Result, Target, Value, number

_HEAD = """# Benchmarks

`make bench` measures everything on this page again, prints the tables and writes them as JSON into `.bench/`;
`make bench ARGS="--only gateway"` runs one case, `--quick` gives a first impression, and
`--document docs/benchmarks.md` writes this page. Every number is a median unless its column says otherwise, and ratios
are taken within one round, so that what disturbs the machine disturbs both sides.

Numbers of one small machine that runs everything at once (load generator, origin, all planes and all sites) say how
the parts compare, not what a production machine reaches.
"""

_MEANING = {
    "gateway": "What a request costs that enters and leaves at the same site: a virtual host as Isthmus compiles it, "
    "against proxies configured by hand for nothing else.",
    "across": "What it costs that the endpoint is at another site: ingress, HTTP/2 over mTLS, egress.",
    "https": "What TLS towards clients costs: requests on connections that are kept, over HTTP/1.1, HTTP/2 and "
    "HTTP/3, and requests that each bring a new connection.",
    "stream": "What connections and datagrams cost that are passed on as they come.",
    "profile": "Where the CPU of a request goes that an HTTPS listener takes in.",
    "health": "How fast other sites know: from the moment at which the egress site's Envoy reports a failed or passed "
    "probe until the last ingress site's Envoy has acknowledged the new endpoints.",
    "configuration": "How fast a change arrives: sites are simulated by real stream clients with their own "
    "certificates, which verify, hold and acknowledge what they get, but have no Envoy.",
    "scale": "How fast one changed virtual host works at a site that takes in very many: from the moment at which the "
    "agent knows the change until Envoy has acknowledged it.",
    "telemetry": "What it costs that every request is told, and to keep and ask what was told.",
    "compile": "What a large site costs its agent.",
    "pages": "What a page of the console in the browser costs the console: from the request to the last byte of HTML, "
    "without the network.",
    "apis": "How much of known APIs is learned from requests, and what learning costs.",
}


def emit_page(machine: Machine, results: Sequence[Result]) -> str:
    """Markdown of one run."""
    lines = [_HEAD, f"Measured on {machine.sentence()}.", ""]
    for result in results:
        lines += [f"## {result.title.partition(':')[0]}", "", _MEANING[result.case], ""]
        lines += [_row(result.columns), _row(["---", *["---:"] * (len(result.columns) - 1)])]
        lines += [_row([number(cell) for cell in row]) for row in result.rows]
        lines += [""]
        lines += [f"- {_target(target)}" for target in result.targets]
        lines += [f"- {note}" for note in result.notes]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _target(target: Target) -> str:
    verdict, sentence = target.sentence().split(maxsplit=1)
    return f"**{verdict}** {sentence}"


def _row(cells: Sequence[Value]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
