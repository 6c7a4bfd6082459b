"""Connections and datagrams that nothing looks into: from a socket, and a server name, to sites."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from isthmus.compile.intent import Intent, Listener, Stream, TlsChain
from isthmus.explain.cluster import Health, explain_shares
from isthmus.explain.explanation import Explanation, Trial, refuse

_CLOSED = {"tcp": "The connection is closed", "udp": "The datagrams are dropped"}


def find_chain(chains: Iterable[TlsChain], server_name: str) -> tuple[TlsChain, str] | None:
    """The TLS chain that takes a server name (lower case), and which of its names decided: an exact one, then the
    longest wildcard, then `*`."""
    best: tuple[int, TlsChain, str] | None = None
    for chain in chains:
        for name in chain.server_names:
            if name == server_name:
                return chain, name
            if name == "*" or (name.startswith("*") and server_name.endswith(name[1:])):
                rank = len(name)
                if best is None or rank > best[0]:
                    best = (rank, chain, name)
    return None if best is None else best[1:]


def explain_connection(url: str, intent: Intent, health: Health) -> Explanation:
    """Where a connection, or a session of datagrams, goes.

    1. The listener: of the URL's transport and port, and of its address, where the host is one that is listened on.
    2. Of one with TLS chains, the chain of the host as the server name.
    3. The one route of that virtual host: its clusters, their sites and endpoints, by what is known of health.

    Raises:
        ValueError: the URL is not `tcp://host:port` or `udp://host:port`.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"{url!r}: the part after ':' is not a port") from None
    if parts.scheme not in _CLOSED or not parts.hostname or port is None:
        raise ValueError(f"{url!r} is not of the form tcp://host:port or udp://host:port")
    title = f"{parts.scheme.upper()} {parts.netloc}"
    able = [each for each in intent.listeners if (each.socket.transport, each.socket.port) == (parts.scheme, port)]
    able = [each for each in able if each.socket.address == parts.hostname] or able
    if not able:
        reason = f"{intent.site} does not listen on {parts.scheme.upper()} port {port}"
        return refuse(intent.site, title, None, f"Nothing listens: {reason}.", listener_reason=reason)
    named = ((each, find_chain(each.chains, parts.hostname)) for each in able)
    listener, found = next(((each, chain) for each, chain in named if chain is not None), (able[0], None))
    if found is not None and isinstance(found[0].to, Stream):
        return explain_stream(title, intent, listener, found[0].to, _name_reason(found[1], parts.hostname), health)
    if listener.stream is not None:
        return explain_stream(title, intent, listener, listener.stream, "it has all of the socket", health)
    what = "TLS is terminated there: ask with https" if listener.chains else "requests are routed there: ask with http"
    if listener.chains and found is None:
        what = f"no virtual host has the server name {parts.hostname}"
    return refuse(intent.site, title, None, f"No stream on {listener.socket}: {what}.", str(listener.socket), what)


def explain_stream(
    title: str, intent: Intent, listener: Listener, stream: Stream, reason: str, health: Health
) -> Explanation:
    """Where a stream that a listener takes goes. `reason`: why it is this virtual host's."""
    views, outcome = explain_shares(intent, stream.shares, health)
    closed = _CLOSED[listener.socket.transport]
    reached = any(site.percent for view in views for site in view.sites)
    if not stream.shares:
        outcome = f"{closed}: the virtual host has no route that connections can take."
    elif not reached:
        outcome = f"{closed}: no endpoint of the route's clusters can be used."
    trials = (Trial(stream.route, True, "it takes everything"),) if stream.route is not None else ()
    return Explanation(
        site=intent.site,
        request=title,
        listener=str(listener.socket),
        listener_reason=f"listens on {listener.socket.transport.upper()} port {listener.socket.port}",
        virtual_host=stream.key,
        domain="",
        domain_reason=reason,
        trials=trials,
        action="forward" if stream.shares else "refuse",
        status=None,
        clusters=views,
        reached=reached,
        outcome=outcome,
    )


def passthrough_reason(name: str, server_name: str) -> str:
    """Why a TLS connection is a virtual host's that passes it through."""
    return f"{_name_reason(name, server_name)}, and TLS passes through"


def _name_reason(name: str, server_name: str) -> str:
    if name == "*":
        return f"no other takes the server name {server_name}, and it takes any (*)"
    return f"its server name is {name}"
