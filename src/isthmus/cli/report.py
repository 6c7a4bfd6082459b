"""What a site says about itself, for people."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.cli.output import duration_text, print_table


def age(moment: float | None, now: float) -> str:
    """How long ago a moment (Unix seconds) was."""
    return "" if moment is None else duration_text(max(0.0, now - moment))


def object_name(key: str) -> str:
    """`shop/web` of `default/Cluster/shop/web`."""
    parts = key.split("/")
    return "/".join(part for part in parts[2:] if part) if len(parts) == 4 else key


def print_site_report(report: Mapping[str, Any], now: float | None = None) -> None:
    """Engines, endpoints here, sites in use per cluster, remote endpoints with their age, and rejections."""
    now = time.time() if now is None else now
    manifest = report.get("manifest") or {}
    applied, received = manifest.get("applied") or {}, manifest.get("received") or {}
    envoy, bgp = report.get("envoy") or {}, report.get("bgp") or {}
    drained = ", drained" if report.get("drained") else ""
    print(f"site {report.get('site')}, release {report.get('release')}{drained}")
    print(f"revision {applied.get('revision', '-')} applied, {received.get('revision', '-')} received")
    for name, engine in (("Envoy", envoy), ("BGP", bgp)):
        trouble = f": {engine['error']}" if engine.get("error") else ""
        adopted = ", adopted" if engine.get("adopted") else ""
        print(f"{name} {engine.get('state', '-')}, {engine.get('restarts', 0)} restarts{adopted}{trouble}")
    sessions = {each["region"]: each["state"] for each in bgp.get("sessions", ())}
    _section(
        "REGIONS",
        ("REGION", "STREAM", "SINCE", "ROUTES", "ERROR"),
        [
            (
                each["region"],
                "connected" if each["connected"] else "down",
                age(each.get("since"), now),
                sessions.get(each["region"], ""),
                each.get("error") or "",
            )
            for each in report.get("streams", ())
        ],
    )
    _section(
        "ENDPOINTS HERE",
        ("CLUSTER", "ENDPOINT", "ADDRESS", "HEALTH", "FOR", "ANNOUNCED", "REASON"),
        [
            (
                object_name(each["cluster"]),
                object_name(each["endpoint"]),
                f"{each['address']}:{each['port']}",
                "healthy" if each["healthy"] else "unhealthy",
                age(each.get("since"), now),
                "yes" if each.get("announced") else "no",
                each.get("reason") or "",
            )
            for each in report.get("endpoints", ())
        ],
    )
    _section(
        "DISCOVERED HERE",
        ("REGISTRY", "QUERY", "SERVERS", "NOT READY", "CHANGED", "ANSWERED", "ERROR"),
        [
            (
                object_name(each["registry"]) or "system",
                each["query"],
                each["servers"],
                each["notReady"],
                age(each.get("changedAt"), now),
                age(each.get("answeredAt"), now),
                each.get("error") or "",
            )
            for each in report.get("discovery", ())
        ],
    )
    _section(
        "PUBLISHED",
        ("REGISTRY", "DOMAIN", "PORT", "ADDRESSES", "STATE", "ERROR"),
        [
            (
                object_name(each["registry"]),
                each["domain"],
                each["port"],
                " ".join(each["addresses"]),
                "published" if each["published"] else ("failed" if each["error"] else "pending"),
                each["error"],
            )
            for each in report.get("published", ())
        ],
    )
    _section(
        "SITES IN USE",
        (
            "CLUSTER",
            "SUBSET",
            "SITE",
            "PRIORITY",
            "WEIGHT",
            "STATE",
            "ENDPOINTS",
            "DISTANCE",
            "ROUND TRIP",
            "STALE FOR",
        ),
        [
            (
                object_name(cluster["cluster"]),
                cluster.get("subset") or "",
                each["site"],
                each["priority"],
                each["weight"],
                str(each["state"]).lower(),
                each.get("endpoints"),
                "" if each.get("distance") is None else f"{each['distance']:.0f} km",
                "" if each.get("roundTrip") is None else f"{each['roundTrip']:.3g} ms",
                age(each.get("staleSince"), now),
            )
            for cluster in report.get("clusters", ())
            for each in cluster["sites"]
        ],
    )
    _section(
        "REMOTE ENDPOINTS",
        ("CLUSTER", "SITE", "NUMBER", "WEIGHT", "STATE", "CHANGED", "HEARD", "REGIONS"),
        [
            (
                object_name(each["cluster"]),
                each["site"],
                each["number"],
                each["weight"],
                "stale" if each.get("stale") else ("draining" if each.get("draining") else "fresh"),
                age(each.get("changedAt"), now),
                age(each.get("heardAt"), now),
                " ".join(each.get("regions") or ()),
            )
            for each in report.get("remoteEndpoints", ())
        ],
    )
    _print_receivers((report.get("telemetry") or {}).get("receivers") or (), now)
    print_rejections(report.get("rejections") or [])


def _print_receivers(receivers: Sequence[Mapping[str, Any]], now: float) -> None:
    """TelemetryReceivers of the site. One without a target is no more; what it lost is still told."""
    _section(
        "TELEMETRY RECEIVERS",
        ("RECEIVER", "TARGET", "STATE", "FOR", "DELIVERED", "WAITING", "LOST", "LAST LOSS", "ERROR"),
        [
            (
                each["receiver"],
                each.get("target") or "",
                "failing" if each.get("error") else ("sending" if each.get("target") else "removed"),
                age(each.get("errorSince") or each.get("since"), now),
                each["delivered"],
                _waiting(each["waiting"]["items"], each["waiting"]["bytes"]),
                _lost(each["lost"]),
                age(each.get("lostAt"), now),
                each.get("error") or "",
            )
            for each in receivers
        ],
    )


def print_signals(told: Sequence[tuple[str, Mapping[str, Any]]], now: float) -> None:
    """What processes, by name, send of themselves to collectors; nothing if there are none."""
    _section(
        "OTLP",
        ("PROCESS", "SIGNAL", "TARGET", "STATE", "FOR", "DELIVERED", "LAST", "WAITING", "LOST", "ERROR"),
        [
            (
                name,
                each["signal"],
                each["target"],
                "failing" if each["error"] else "sending",
                age(each["errorSince"] or each["since"], now),
                each["delivered"],
                age(each["deliveredAt"], now),
                _waiting(each["waiting"], each["waitingBytes"]),
                _lost(each["lost"]),
                each["error"],
            )
            for name, each in told
        ],
    )


def _waiting(items: int, size: int) -> str:
    return f"{items} ({size} bytes)" if items else "0"


def _lost(lost: Mapping[str, int]) -> str:
    return ", ".join(f"{items} {reason}" for reason, items in lost.items()) or "0"


def print_rejections(rejections: Sequence[Mapping[str, Any]]) -> None:
    """Objects that a site could not apply."""
    _section(
        "REJECTED",
        ("OBJECT", "FIELD", "CODE", "MESSAGE"),
        [(object_name(each["object"]), each.get("field"), each["code"], each["message"]) for each in rejections],
    )


def _section(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows:
        print(f"\n{title}")
        print_table(columns, rows)
