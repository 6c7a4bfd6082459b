"""Routes: which requests, and what happens to them."""

from dataclasses import dataclass, replace

from isthmus.compile.cluster import compile_target
from isthmus.compile.intent import (
    Action,
    DirectResponse,
    Forward,
    HashKey,
    Match,
    PathMatch,
    Redirect,
    Retry,
    Rule,
    Share,
    ValueMatch,
)
from isthmus.compile.memo import Memo
from isthmus.compile.source import find, foreign
from isthmus.model import Diagnostic, ObjectKey, Route
from isthmus.model.reference import resolve
from isthmus.model.route import Forward as ForwardSpec
from isthmus.model.route import HashPolicy, HeaderMatch, QueryParameterMatch, RetryPolicy
from isthmus.model.route import Match as MatchSpec
from isthmus.model.route import PathMatch as PathMatchSpec
from isthmus.model.value import milliseconds


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """A rule, and what is wrong with its route here."""

    rule: Rule
    diagnostics: tuple[Diagnostic, ...]

    def clusters(self) -> frozenset[ObjectKey]:
        """The clusters that the rule names."""
        action = self.rule.action
        return frozenset(share.cluster for share in action.shares) if isinstance(action, Forward) else frozenset()


def compile_route(memo: Memo, key: ObjectKey) -> CompiledRoute | None:
    """A route; None when it is unknown."""
    obj = find(memo, Route, key)
    if obj is None:
        return None
    found: list[Diagnostic] = []
    matches = tuple(_match(match) for match in obj.spec.match) or (Match(),)
    return CompiledRoute(Rule(key, matches, _action(memo, obj, found)), tuple(found))


def _match(match: MatchSpec) -> Match:
    return Match(
        path=_path(match.path) if match.path else None,
        methods=tuple(dict.fromkeys(match.methods)),
        headers=tuple(_value(header, invert=header.invert) for header in match.headers),
        query_parameters=tuple(_value(parameter) for parameter in match.query_parameters),
    )


def _path(path: PathMatchSpec) -> PathMatch:
    if path.exact is not None:
        return PathMatch("exact", path.exact)
    if path.prefix is not None:
        return PathMatch("prefix", path.prefix)
    return PathMatch("regex", path.regex or "")


def _value(match: HeaderMatch | QueryParameterMatch, *, invert: bool = False) -> ValueMatch:
    """An inverted `present` becomes `absent` and the other way round."""
    if match.present is not None:
        return ValueMatch(match.name, "present" if match.present != invert else "absent")
    if match.exact is not None:
        return ValueMatch(match.name, "exact", match.exact, invert)
    if match.prefix is not None:
        return ValueMatch(match.name, "prefix", match.prefix, invert)
    return ValueMatch(match.name, "regex", match.regex or "", invert)


def _action(memo: Memo, obj: Route, found: list[Diagnostic]) -> Action:
    spec = obj.spec
    if spec.redirect is not None:
        to = spec.redirect
        return Redirect(to.scheme, to.host, to.port, to.path, to.prefix, to.code)
    if spec.direct_response is not None:
        return DirectResponse(spec.direct_response.status, spec.direct_response.body)
    return _forward(memo, obj.key, spec.forward, found) if spec.forward else _nowhere()


def _nowhere() -> DirectResponse:
    """The rule of a route without any cluster that exists. It still matches: its requests are not another rule's."""
    return DirectResponse(503, "no cluster")


def _forward(memo: Memo, key: ObjectKey, spec: ForwardSpec, found: list[Diagnostic]) -> Action:
    """The share of a cluster that does not exist goes to the route's other clusters."""
    shares = []
    for index, entry in enumerate(spec.clusters):
        name = resolve(entry.cluster, "Cluster", key.tenant, key.namespace)
        target = None if foreign(name, key) else memo.ask(compile_target, name)
        if target is None:
            found.append(
                Diagnostic(
                    "dangling-reference",
                    key,
                    f"spec.forward.clusters[{index}].cluster",
                    f"{name.title} does not exist; its share is left out",
                    "create it, or correct the name",
                )
            )
            continue
        shares.append(Share(name, target.shape, entry.weight, target.hashes))
    shares = _merge(shares)
    if not shares:
        return _nowhere()
    hashes = any(share.hashes for share in shares)
    return Forward(
        shares=tuple(shares),
        prefix_rewrite=spec.prefix_rewrite,
        timeout=milliseconds(spec.timeout),
        retry=_retry(spec.retry),
        hash_keys=tuple(_hash_key(policy) for policy in spec.hash_policy) or (HashKey("source"),) if hashes else (),
    )


def _merge(shares: list[Share]) -> list[Share]:
    """Each cluster once, with the sum of its weights; clusters of weight 0 take no request and are left out."""
    merged: dict[ObjectKey, Share] = {}
    for share in shares:
        if share.weight:
            before = merged[share.cluster].weight if share.cluster in merged else 0
            merged[share.cluster] = replace(share, weight=before + share.weight)
    return list(merged.values())


def _retry(spec: RetryPolicy) -> Retry | None:
    if spec.attempts == 0:
        return None
    return Retry(
        attempts=spec.attempts,
        on=tuple(dict.fromkeys(spec.on)),
        per_try_timeout=milliseconds(spec.per_try_timeout) if spec.per_try_timeout else None,
        back_off=milliseconds(spec.back_off),
    )


def _hash_key(policy: HashPolicy) -> HashKey:
    if policy.header is not None:
        return HashKey("header", policy.header)
    if policy.cookie is not None:
        return HashKey("cookie", policy.cookie)
    return HashKey("source")
