"""Virtual hosts: where they are advertised, and the rules that they hold."""

from dataclasses import dataclass

from isthmus.compile.http_option import compile_options
from isthmus.compile.intent import Socket, Transport, VirtualHost
from isthmus.compile.memo import Memo
from isthmus.compile.option import NO_OPTIONS
from isthmus.compile.place import compile_site_fact, compile_where
from isthmus.compile.route import CompiledRoute, compile_route
from isthmus.compile.rule import Rule
from isthmus.compile.source import find, foreign, scope
from isthmus.compile.tracing import compile_sampling
from isthmus.model import AdvertisePolicy, Diagnostic, ObjectKey, Site
from isthmus.model import VirtualHost as VirtualHostObject
from isthmus.model.advertise_policy import AdvertiseWhere
from isthmus.model.reference import resolve
from isthmus.model.virtual_host import transport_of
from isthmus.model.where import Where


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What a virtual host claims at this site.

    Attributes:
        rank: who keeps a domain or a socket that two claim: the lower.
        proxy: its type.
        domains: as declared, each with its place in the declaration.
        sockets: in order, each with the policy that it comes from.
    """

    rank: tuple[float, ObjectKey]
    proxy: str
    domains: tuple[str, ...]
    sockets: tuple[tuple[Socket, ObjectKey], ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class PolicySockets:
    """Where an advertise policy lets clients reach virtual hosts at this site."""

    sockets: tuple[Socket, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """A virtual host's rules, the clusters that they name, and what is wrong with them."""

    rules: tuple[Rule, ...]
    diagnostics: tuple[Diagnostic, ...]


def compile_advertisement(memo: Memo, key: ObjectKey) -> Advertisement | None:
    """What a virtual host claims at this site; None when it is unknown.

    Policies that are not among the objects are passed over: a site gets only those that select it.
    """
    obj = find(memo, VirtualHostObject, key)
    if obj is None:
        return None
    transport: Transport = transport_of(obj.spec.proxy)
    sockets: dict[Socket, ObjectKey] = {}
    found: list[Diagnostic] = []
    for reference in obj.spec.advertise_policies:
        target = resolve(reference, "AdvertisePolicy", key.tenant, key.namespace)
        policy = None if foreign(target, key) else memo.ask(_sockets, (target, transport))
        if policy is not None:
            found.extend(policy.diagnostics)
            for socket in policy.sockets:
                sockets.setdefault(socket, target)
    return Advertisement(
        rank=(obj.system.created or float("inf"), key),
        proxy=obj.spec.proxy,
        domains=obj.spec.domains,
        sockets=tuple(sorted(sockets.items())),
        diagnostics=tuple(found),
    )


def _sockets(memo: Memo, question: tuple[ObjectKey, Transport]) -> PolicySockets | None:
    key, transport = question
    policy, here = find(memo, AdvertisePolicy, key), scope(memo).site
    if policy is None:
        return None
    spec = policy.spec
    if not memo.ask(_is_advertised, (spec.where, key.tenant)):
        return PolicySockets((), ())
    network = spec.where.interfaces
    addresses = (spec.address,) if spec.address else memo.ask(_network_addresses, network)
    if not addresses:
        message = f"{here.title} has no address on its {network} network"
        mend = "add an interface to the site, or set spec.address"
        return PolicySockets((), (Diagnostic("no-address", key, "spec.where.network", message, mend),))
    own = memo.ask(compile_site_fact, here)
    free, found = [], []
    for address in addresses:
        socket = Socket(address, spec.port, transport)
        if own is not None and socket in own.fabric:
            message = f"{here.title} listens for other sites on {socket}"
            found.append(Diagnostic("socket-in-use", key, "spec.port", message, "use another port or address"))
        else:
            free.append(socket)
    return PolicySockets(tuple(free), tuple(found))


def _network_addresses(memo: Memo, network: str) -> tuple[str, ...]:
    site = find(memo, Site, scope(memo).site)
    return () if site is None else site.spec.network_addresses(network)


def _is_advertised(memo: Memo, question: tuple[AdvertiseWhere, str]) -> bool:
    """Whether this site is among those where a policy of a tenant advertises."""
    where, tenant = question
    here = scope(memo).site
    if where.site is not None or where.virtual_site is not None:
        return here in memo.ask(compile_where, (Where(site=where.site, virtual_site=where.virtual_site), tenant))
    site = find(memo, Site, here)
    if site is None or here.tenant != tenant:
        return False
    return site.spec.edge if where.public else bool(site.spec.network_addresses(where.interfaces))


def compile_virtual_host(memo: Memo, question: tuple[ObjectKey, tuple[str, ...]]) -> VirtualHost:
    """A virtual host with the domains that it keeps on some socket."""
    key, domains = question
    obj = find(memo, VirtualHostObject, key)
    options = compile_options(obj.spec) if obj else NO_OPTIONS
    rules = memo.ask(compile_rules, key).rules
    pages = any(each.error_pages for each in (options, *(rule.options for rule in rules)))
    return VirtualHost(key, domains, rules, options, pages, sampling=memo.ask(compile_sampling, key))


def compile_rules(memo: Memo, key: ObjectKey) -> Rules:
    """A virtual host's rules in order. A route that does not exist is left out."""
    rules: list[Rule] = []
    found: list[Diagnostic] = []
    obj = find(memo, VirtualHostObject, key)
    for index, reference in enumerate(obj.spec.routes if obj else ()):
        target = resolve(reference, "Route", key.tenant, key.namespace)
        compiled: CompiledRoute | None = None if foreign(target, key) else memo.ask(compile_route, target)
        if compiled is None:
            message = f"{target.title} does not exist; the route is left out"
            mend = "create it, or correct the name"
            found.append(Diagnostic("dangling-reference", key, f"spec.routes[{index}]", message, mend))
            continue
        rules.append(compiled.rule)
        found.extend(compiled.diagnostics)
    return Rules(tuple(rules), tuple(found))


def compile_used_clusters(memo: Memo, key: ObjectKey) -> frozenset[ObjectKey]:
    """The clusters that a virtual host's rules name."""
    return frozenset(c for rule in memo.ask(compile_rules, key).rules for c in CompiledRoute(rule, ()).clusters())
