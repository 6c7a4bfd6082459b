"""Which receivers of telemetry a site serves, what concerns each, and which virtual hosts are traced for them."""

from isthmus.compile.intent import Tracing
from isthmus.compile.memo import Memo
from isthmus.compile.place import compile_where
from isthmus.compile.source import find, foreign, keys, scope
from isthmus.model import ObjectKey, TelemetryReceiver, TrustedAuthority, VirtualHost
from isthmus.model.key import SHARED_NAMESPACE
from isthmus.model.label import matches
from isthmus.model.object import Reference
from isthmus.model.reference import resolve


def compile_receiver_keys(memo: Memo, _: None) -> tuple[ObjectKey, ...]:
    """Every receiver of this site, sorted."""
    return tuple(key for key in keys(memo, TelemetryReceiver) if memo.ask(_is_here, key))


def compile_tracing(memo: Memo, _: None) -> Tracing | None:
    """How this site traces; None: no receiver takes traces."""
    traces = memo.ask(_traced, None)
    return Tracing(restart=any(restart for _, restart in traces)) if traces else None


def compile_sampling(memo: Memo, key: ObjectKey) -> float | None:
    """Percent of a virtual host's requests of which traces begin here; None: this site does not trace."""
    if memo.ask(compile_tracing, None) is None:
        return None
    found = [0.0]
    for receiver, (percent, _) in zip(memo.ask(_tracers, None), memo.ask(_traced, None), strict=True):
        if memo.ask(compile_chosen, (receiver, key)):
            found.append(percent)
    return max(found)


def compile_chosen(memo: Memo, question: tuple[ObjectKey, ObjectKey]) -> bool:
    """Whether a receiver gets what concerns a virtual host."""
    key, host = question
    obj, virtual_host = find(memo, TelemetryReceiver, key), find(memo, VirtualHost, host)
    if obj is None or virtual_host is None or host.tenant != key.tenant:
        return False
    if key.namespace != SHARED_NAMESPACE:
        inside = host.namespace == key.namespace
    else:
        inside = not obj.spec.logs.namespaces or host.namespace in obj.spec.logs.namespaces
    selector = obj.spec.logs.virtual_hosts
    return inside and (not selector or matches(selector, virtual_host.metadata.labels))


def find_trusted(memo: Memo, key: ObjectKey, reference: Reference | None) -> str | None:
    """PEM of the authority that a receiver trusts, empty for the system's; None: it is unknown."""
    if reference is None:
        return ""
    return find_authority(memo, resolve(reference, "TrustedAuthority", key.tenant, key.namespace), key)


def find_authority(memo: Memo, target: ObjectKey, owner: ObjectKey) -> str | None:
    """PEM of an authority; None: it is unknown to who refers to it."""
    obj = None if foreign(target, owner) else find(memo, TrustedAuthority, target)
    return obj.spec.certificates if obj is not None else None


def _is_here(memo: Memo, key: ObjectKey) -> bool:
    obj, here = find(memo, TelemetryReceiver, key), scope(memo).site
    return obj is not None and here in memo.ask(compile_where, (obj.spec.where, key.tenant))


def _tracers(memo: Memo, _: None) -> tuple[ObjectKey, ...]:
    """The receivers that take traces."""
    found = []
    for key in memo.ask(compile_receiver_keys, None):
        obj = find(memo, TelemetryReceiver, key)
        target = obj.spec.otlp if obj else None
        if target and "TRACES" in target.signals and find_trusted(memo, key, target.trusted_authority) is not None:
            found.append(key)
    return tuple(found)


def _traced(memo: Memo, _: None) -> tuple[tuple[float, bool], ...]:
    """Sampling, and whether clients' traces are restarted, of each receiver that takes traces."""
    found = []
    for key in memo.ask(_tracers, None):
        obj = find(memo, TelemetryReceiver, key)
        target = obj.spec.otlp if obj else None
        traces = target.traces if target else None
        found.append((traces.sampling, traces.client_context == "RESTART") if traces else (0.0, False))
    return tuple(found)
