"""Sending requests to clusters."""

from dataclasses import replace

from isthmus.compile.cluster import compile_target
from isthmus.compile.memo import Memo
from isthmus.compile.rule import (
    DirectResponse,
    Forward,
    HashKey,
    HostRewrite,
    Mirror,
    RateLimitedRetry,
    RegexRewrite,
    Retry,
    Share,
)
from isthmus.compile.source import foreign
from isthmus.model import Diagnostic, ObjectKey
from isthmus.model.forward import Forward as ForwardSpec
from isthmus.model.forward import HashPolicy, RetryPolicy
from isthmus.model.forward import HostRewrite as HostRewriteSpec
from isthmus.model.forward import RegexRewrite as RegexRewriteSpec
from isthmus.model.reference import resolve
from isthmus.model.value import milliseconds


def nowhere() -> DirectResponse:
    """The rule of a route without any cluster that exists. It still matches: its requests are not another rule's."""
    return DirectResponse(503, "no cluster", nowhere=True)


def compile_forward(memo: Memo, key: ObjectKey, spec: ForwardSpec, found: list[Diagnostic]) -> Forward | DirectResponse:
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
        subset = entry.subset or ""
        if subset and subset not in target.subsets:
            found.append(
                Diagnostic(
                    "unknown-subset",
                    key,
                    f"spec.forward.clusters[{index}].subset",
                    f"{name.title} has no subset {subset}; its share is left out",
                    "add the subset to the cluster, or correct the name",
                )
            )
            continue
        shares.append(Share(name, target.shape.of_subset(subset), entry.weight, target.hashes, subset, target.ordered))
    mirrors = _mirrors(memo, key, spec, found)
    shares = _merge(shares)
    if not shares:
        return nowhere()
    hashes = any(share.hashes for share in shares)
    return Forward(
        shares=tuple(shares),
        prefix_rewrite=spec.prefix_rewrite,
        timeout=milliseconds(spec.timeout),
        retry=_retry(spec.retry),
        hash_keys=_hash_keys(spec.hash_policy) if hashes else (),
        regex_rewrite=compile_rewrite(spec.regex_rewrite),
        host_rewrite=_host(spec.host_rewrite) if spec.host_rewrite else None,
        idle_timeout=None if spec.idle_timeout is None else milliseconds(spec.idle_timeout),
        mirrors=mirrors,
        websocket=spec.websocket,
        high=spec.priority == "HIGH",
    )


def compile_rewrite(rewrite: RegexRewriteSpec | None) -> RegexRewrite | None:
    """A change of the path by a regular expression."""
    return RegexRewrite(rewrite.pattern, rewrite.substitution) if rewrite else None


def _host(rewrite: HostRewriteSpec) -> HostRewrite:
    if rewrite.literal is not None:
        return HostRewrite("literal", rewrite.literal)
    return HostRewrite("header", rewrite.header or "")


def _mirrors(memo: Memo, key: ObjectKey, spec: ForwardSpec, found: list[Diagnostic]) -> tuple[Mirror, ...]:
    mirrors = []
    for index, mirror in enumerate(spec.mirrors):
        name = resolve(mirror.cluster, "Cluster", key.tenant, key.namespace)
        target = None if foreign(name, key) else memo.ask(compile_target, name)
        if target is None:
            message = f"{name.title} does not exist; it gets no copies"
            mend = "create it, or correct the name"
            found.append(Diagnostic("dangling-reference", key, f"spec.forward.mirrors[{index}].cluster", message, mend))
            continue
        subset = mirror.subset or ""
        if subset and subset not in target.subsets:
            message = f"{name.title} has no subset {subset}; it gets no copies"
            mend = "add the subset to the cluster, or correct the name"
            found.append(Diagnostic("unknown-subset", key, f"spec.forward.mirrors[{index}].subset", message, mend))
        elif mirror.percent:
            mirrors.append(Mirror(name, target.shape.of_subset(subset), mirror.percent, mirror.shadow_host, subset))
    return tuple(mirrors)


def _merge(shares: list[Share]) -> list[Share]:
    """Each subset of a cluster once, with the sum of its weights; those of weight 0 take no request and are left
    out."""
    merged: dict[tuple[ObjectKey, str], Share] = {}
    for share in shares:
        if share.weight:
            target = (share.cluster, share.subset)
            before = merged[target].weight if target in merged else 0
            merged[target] = replace(share, weight=before + share.weight)
    return list(merged.values())


def _retry(spec: RetryPolicy) -> Retry | None:
    if spec.attempts == 0:
        return None
    limited, back_off = spec.rate_limited, milliseconds(spec.back_off)
    return Retry(
        attempts=spec.attempts,
        on=tuple(dict.fromkeys(spec.on)),
        status_codes=tuple(sorted(set(spec.status_codes))),
        elsewhere=spec.elsewhere,
        per_try_timeout=milliseconds(spec.per_try_timeout) if spec.per_try_timeout else None,
        per_try_idle_timeout=milliseconds(spec.per_try_idle_timeout) if spec.per_try_idle_timeout else None,
        back_off=back_off,
        max_back_off=milliseconds(spec.max_back_off) if spec.max_back_off else 10 * back_off,
        rate_limited=RateLimitedRetry(limited.header, limited.format == "timestamp", milliseconds(limited.longest))
        if limited
        else None,
    )


def _hash_keys(policies: tuple[HashPolicy, ...]) -> tuple[HashKey, ...]:
    """The client's address when there is no policy. What follows a terminal key that every request has is left out."""
    keys: list[HashKey] = []
    for policy in policies:
        keys.append(_hash_key(policy))
        if policy.terminal and (policy.source_address or policy.ttl is not None):
            break
    return tuple(keys) or (HashKey("source"),)


def _hash_key(policy: HashPolicy) -> HashKey:
    if policy.header is not None:
        return HashKey("header", policy.header, terminal=policy.terminal)
    if policy.query_parameter is not None:
        return HashKey("query", policy.query_parameter, terminal=policy.terminal)
    if policy.cookie is not None:
        ttl = None if policy.ttl is None else milliseconds(policy.ttl) // 1000
        return HashKey("cookie", policy.cookie, ttl, policy.path or "/", policy.terminal)
    return HashKey("source", terminal=policy.terminal)
