"""Virtual hosts that are not looked into: each of their connections goes where their one route says."""

from dataclasses import dataclass

from isthmus.compile.cluster import compile_target
from isthmus.compile.intent import Stream
from isthmus.compile.memo import Memo
from isthmus.compile.rule import Forward, Share
from isthmus.compile.source import find
from isthmus.compile.virtual_host import compile_rules
from isthmus.model import Diagnostic, ObjectKey, Route
from isthmus.model import VirtualHost as VirtualHostObject
from isthmus.model.reference import resolve
from isthmus.model.stream import stream_faults
from isthmus.model.value import milliseconds
from isthmus.model.virtual_host import STREAMS, transport_of

_IDLE = {"tcp": 3_600_000, "udp": 60_000}
"""Milliseconds after which a connection or session without any data ends: an hour, and a minute."""

_LONGEST_SESSION = 86_400_000


@dataclass(frozen=True, slots=True)
class _Compiled:
    stream: Stream
    diagnostics: tuple[Diagnostic, ...]


def compile_stream(memo: Memo, key: ObjectKey) -> Stream:
    """Where a virtual host's connections go. They are refused if its route cannot be had without looking into them."""
    return memo.ask(_compile, key).stream


def compile_stream_diagnostics(memo: Memo, key: ObjectKey) -> tuple[Diagnostic, ...]:
    """What is wrong with a virtual host's route, beside what is wrong with it for every virtual host."""
    obj = find(memo, VirtualHostObject, key)
    return memo.ask(_compile, key).diagnostics if obj is not None and obj.spec.proxy in STREAMS else ()


def _compile(memo: Memo, key: ObjectKey) -> _Compiled:
    obj = find(memo, VirtualHostObject, key)
    transport = transport_of(obj.spec.proxy if obj else "")
    nowhere = Stream(key, None, (), _IDLE[transport])
    rules = memo.ask(compile_rules, key).rules
    if obj is None or len(rules) != 1:
        return _Compiled(nowhere, ())
    route = find(memo, Route, resolve(obj.spec.routes[0], "Route", key.tenant, key.namespace))
    found = [
        Diagnostic(
            "http-only",
            key,
            "spec.routes[0]",
            f"{rules[0].route.title} has {field}, but {reason}; connections are refused",
            "take it out, or use another route",
        )
        for field, reason in (stream_faults(route) if route is not None else ())
    ]
    action = rules[0].action
    if found or route is None or not isinstance(action, Forward):
        return _Compiled(nowhere, tuple(found))
    shares: list[Share] = []
    for share in action.shares:
        target = memo.ask(compile_target, share.cluster)
        if target is not None and target.transport not in (None, transport):
            found.append(_wrong_protocol(key, share.cluster, target.transport or ""))
        elif transport == "udp" and share.subset:
            found.append(_subset(key, share))
        elif transport == "udp" and shares:
            found.append(_second_cluster(key, share.cluster))
        else:
            shares.append(share)
    return _Compiled(Stream(key, rules[0].route, tuple(shares), _idle(route, transport)), tuple(found))


def _idle(route: Route, transport: str) -> int:
    """As the route says. Sessions of UDP have no end that anybody could see, so they cannot idle for ever."""
    said = route.spec.forward.idle_timeout if route.spec.forward is not None else None
    if said is None:
        return _IDLE[transport]
    return milliseconds(said) or (_LONGEST_SESSION if transport == "udp" else 0)


def _wrong_protocol(key: ObjectKey, cluster: ObjectKey, transport: str) -> Diagnostic:
    return Diagnostic(
        "wrong-protocol",
        key,
        "spec.routes[0]",
        f"the endpoints of {cluster.title} are of {transport.upper()}; its share is left out",
        "set spec.protocol of the endpoints, or the proxy type",
    )


def _subset(key: ObjectKey, share: Share) -> Diagnostic:
    return Diagnostic(
        "whole-cluster",
        key,
        "spec.routes[0]",
        f"UDP cannot go to a subset, so the subset {share.subset} of {share.cluster.title} gets nothing",
        "make a cluster of the subset's endpoints, and forward to that",
    )


def _second_cluster(key: ObjectKey, cluster: ObjectKey) -> Diagnostic:
    return Diagnostic(
        "one-cluster",
        key,
        "spec.routes[0]",
        f"UDP is not shared out by weight, so {cluster.title} gets nothing",
        "forward to one cluster, and give its endpoints weights",
    )
