"""Sending requests to clusters."""

from dataclasses import replace

from isthmus.compile.cluster import compile_target
from isthmus.compile.memo import Memo
from isthmus.compile.rule import DirectResponse, Forward, HashKey, Retry, Share
from isthmus.compile.source import foreign
from isthmus.model import Diagnostic, ObjectKey
from isthmus.model.forward import Forward as ForwardSpec
from isthmus.model.forward import HashPolicy, RetryPolicy
from isthmus.model.reference import resolve
from isthmus.model.value import milliseconds


def nowhere() -> DirectResponse:
    """The rule of a route without any cluster that exists. It still matches: its requests are not another rule's."""
    return DirectResponse(503, "no cluster")


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
        shares.append(Share(name, target.shape.of_subset(subset), entry.weight, target.hashes, subset))
    shares = _merge(shares)
    if not shares:
        return nowhere()
    hashes = any(share.hashes for share in shares)
    return Forward(
        shares=tuple(shares),
        prefix_rewrite=spec.prefix_rewrite,
        timeout=milliseconds(spec.timeout),
        retry=_retry(spec.retry),
        hash_keys=tuple(_hash_key(policy) for policy in spec.hash_policy) or (HashKey("source"),) if hashes else (),
        high=spec.priority == "HIGH",
    )


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
