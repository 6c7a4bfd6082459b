"""What tells objects of one kind apart, in one line: the column SUMMARY of `isthmus get`.

From the document as it came: a console of another release may give fields and kinds that this one does not know.
"""

from collections.abc import Callable, Mapping
from typing import Any

Spec = Mapping[str, Any]


def summarise(document: Mapping[str, Any]) -> str:
    """The line; empty for kinds whose name says it all."""
    spec: Spec = document.get("spec") or {}
    kind = document.get("kind", "")
    if kind == "Site":
        return _site(spec, (document.get("metadata") or {}).get("labels") or {})
    line = _LINES.get(kind)
    return line(spec) if line is not None else ""


def _site(spec: Spec, labels: Mapping[str, str]) -> str:
    drained = "drained " if spec.get("drained") else ""
    return drained + ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _virtual_host(spec: Spec) -> str:
    return " ".join((spec.get("proxy", "HTTP"), *spec.get("domains", ())))


def _route(spec: Spec) -> str:
    forward = spec.get("forward")
    if not forward:
        return "redirect" if spec.get("redirect") else f"responds {(spec.get('directResponse') or {}).get('status')}"
    return " ".join(_share(entry) for entry in forward.get("clusters", ()))


def _share(entry: Mapping[str, Any]) -> str:
    subset = f"/{entry['subset']}" if entry.get("subset") else ""
    return f"{(entry.get('cluster') or {}).get('name')}{subset}:{entry.get('weight', 1)}"


def _cluster(spec: Spec) -> str:
    subsets = "".join(f" {each.get('name')}" for each in spec.get("subsets") or ())
    return f"{len(spec.get('endpoints', ()))} endpoints{', subsets' + subsets if subsets else ''}"


def _endpoint(spec: Spec) -> str:
    found = spec.get("discovery")
    target = f"{spec.get('address')}:{spec.get('port')}" if found is None else f"by {_chosen(found)}"
    drained = "drained " if spec.get("drained") else ""
    return f"{drained}{_where(spec)} {target}"


def _health_check(spec: Spec) -> str:
    kind = _chosen({name: spec[name] for name in ("http", "tcp", "grpc", "udp") if spec.get(name) is not None})
    return f"http {spec['http'].get('path', '/')}" if kind == "http" else kind


def _advertise_policy(spec: Spec) -> str:
    address = f" {spec['address']}" if spec.get("address") else ""
    return f"{_where(spec)}{address} port {spec.get('port', 80)}"


def _where(spec: Spec) -> str:
    where = spec.get("where") or {}
    names = (("site", "site"), ("virtualSite", "virtual site"), ("network", "network"))
    found = [f"{title} {where[name]}" for name, title in names if where.get(name)]
    return " ".join(found) or ("public" if where.get("public") else "")


def _receiver(spec: Spec) -> str:
    kind = _chosen({name: spec.get(name) for name in ("syslog", "http", "file", "otlp")})
    target = spec.get(kind) or {}
    return f"{kind} {target.get('url') or target.get('host') or target.get('name') or ''}".rstrip()


def _chosen(part: Mapping[str, Any]) -> str:
    return next((name for name, value in part.items() if isinstance(value, Mapping)), "")


_LINES: Mapping[str, Callable[[Spec], str]] = {
    "Region": lambda spec: f"{spec.get('address')}:{spec.get('port', '')}".rstrip(":"),
    "VirtualSite": lambda spec: " or ".join(spec.get("selector") or ()) or "-",
    "VirtualHost": _virtual_host,
    "Route": _route,
    "Cluster": _cluster,
    "Endpoint": _endpoint,
    "HealthCheck": _health_check,
    "AdvertisePolicy": _advertise_policy,
    "ServiceDiscovery": lambda spec: f"{_where(spec)} {_chosen({k: v for k, v in spec.items() if k != 'where'})}",
    "AlertReceiver": _chosen,
    "AlertPolicy": lambda spec: "to " + " ".join(str(each.get("name")) for each in spec.get("receivers") or ()),
    "TelemetryReceiver": lambda spec: f"{_where(spec)} {_receiver(spec)}",
    "Network": lambda spec: str(spec.get("type", "")),
    "Certificate": lambda spec: str(spec.get("chainFile") or ""),
}
