"""Whether HTTPS virtual hosts can be served: what they terminate TLS with, and for which of their domains."""

from collections.abc import Iterator, Mapping

from isthmus.model.advertise_policy import AdvertisePolicy
from isthmus.model.certificate import Certificate
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.model.pem import covers
from isthmus.model.tls import DownstreamTls
from isthmus.model.virtual_host import VirtualHost


def check_tls(host: VirtualHost, objects: Mapping[ObjectKey, Object]) -> Iterator[Diagnostic]:
    """The errors of a virtual host's TLS at each of its policies.

    Names of certificates in files are known at the sites alone, so their domains are not checked; nor is `*`, which
    stands for every client that asks for something else.
    """
    if host.spec.proxy != "HTTPS":
        return
    seen = set()
    for tls, owner in _termination(host, objects):
        if tls is None:
            yield Diagnostic(
                "missing-tls",
                host.key,
                "spec.tls",
                f"{owner.title} does not say either how TLS is terminated",
                "set spec.tls, with a certificate",
            )
            continue
        names = _names(tls, owner, objects)
        for index, domain in enumerate(host.spec.domains):
            if names is None or domain.partition(":")[0] == "*" or covers(names, domain) or (domain, owner) in seen:
                continue
            seen.add((domain, owner))
            yield Diagnostic(
                "uncovered-domain",
                host.key,
                f"spec.domains[{index}]",
                f"no certificate that {owner.title} names is for {domain}",
                "add a certificate with that name, or remove the domain",
            )


def _termination(
    host: VirtualHost, objects: Mapping[ObjectKey, Object]
) -> Iterator[tuple[DownstreamTls | None, ObjectKey]]:
    """The TLS parameters that hold at each policy, and whose they are; those of the virtual host once."""
    policies = (objects.get(use.target) for use in host.uses() if use.target.kind == "AdvertisePolicy")
    found = [policy for policy in policies if isinstance(policy, AdvertisePolicy)]
    own = [policy for policy in found if policy.spec.tls is None]
    if host.spec.tls is not None and (own or not found):
        yield host.spec.tls, host.key
    for policy in found:
        if policy.spec.tls is not None:
            yield policy.spec.tls, policy.key
        elif host.spec.tls is None:
            yield None, policy.key


def _names(tls: DownstreamTls, owner: ObjectKey, objects: Mapping[ObjectKey, Object]) -> tuple[str, ...] | None:
    """The names of all certificates; None when some are not known here."""
    found: list[str] = []
    for use in tls.uses(owner.tenant, owner.namespace, ""):
        obj = objects.get(use.target)
        if use.target.kind != "Certificate":
            continue
        names = obj.names if isinstance(obj, Certificate) else None
        if names is None:
            return None
        found.extend(names)
    return tuple(found)
