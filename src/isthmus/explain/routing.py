"""From a request to its explanation, step by step as Envoy takes them."""

from collections.abc import Mapping

from isthmus.compile.condition import Match, preflight_match
from isthmus.compile.intent import Intent, Listener, Stream, VirtualHost
from isthmus.compile.rule import Action, DirectResponse, Forward, Redirect, Rule
from isthmus.explain.cluster import Health, explain_shares
from isthmus.explain.condition import find_virtual_host, first_failure
from isthmus.explain.explanation import ClusterView, Explanation, Trial, refuse
from isthmus.explain.request import Refusal, Request, parse_request
from isthmus.explain.step import Way, explain_way, rewritten_path
from isthmus.explain.stream import explain_connection, explain_stream, find_chain, passthrough_reason


def explain(url: str, method: str, headers: Mapping[str, str], intent: Intent, health: Health) -> Explanation:
    """Say where a request that enters at the intent's site goes; of a URL with tcp or udp, where a connection goes.

    1. The request is normalised; Envoy may refuse it here.
    2. The listener: one on the URL's port; for a URL without a port, one on port 80 (443 with https), or else any. Of
       several, the first that has the domain. One that terminates TLS takes https alone, and one that does not, http.
       What nothing looks into is a stream (`stream.py`), whatever is in it.
    3. The virtual host, by domain. 4. Its first route that matches. 5. Its clusters, their sites and endpoints, by what
       is known of health.

    Raises:
        ValueError: the URL is not `http://host[:port]/path`, `https://…`, `tcp://host:port` or `udp://host:port`.
    """
    if url.partition("://")[0].lower() in ("tcp", "udp"):
        return explain_connection(url, intent, health)
    request = parse_request(url, method, headers)
    if isinstance(request, Refusal):
        outcome = f"Envoy answers {request.status}: {request.reason}."
        if request.location:
            outcome = f"Envoy answers {request.status} and sends the client to {request.location}: {request.reason}."
        return refuse(intent.site, f"{method.upper()} {url}", request.status, outcome)
    title = f"{request.method} {request.host}{request.target}"
    listener, listener_reason = _listener(intent, request)
    if listener is None:
        return refuse(intent.site, title, None, f"Nothing listens: {listener_reason}.", listener_reason=listener_reason)
    if listener.stream is not None:
        return explain_stream(title, intent, listener, listener.stream, "it has all of the socket", health)
    if bool(listener.chains) != request.secure:
        reason = f"{listener.socket} expects {'TLS: ask with https' if listener.chains else 'no TLS: ask with http'}"
        outcome = f"The connection fails: {reason}."
        return refuse(intent.site, title, None, outcome, str(listener.socket), listener_reason, reason)
    passed = find_chain(listener.chains, _server_name(request.host))
    if passed is not None and isinstance(passed[0].to, Stream):
        reason = passthrough_reason(passed[1], _server_name(request.host))
        return explain_stream(title, intent, listener, passed[0].to, reason, health)
    found = find_virtual_host(_hosts(listener), request.host, listener.socket.port)
    if found is None and request.secure:
        reason = f"no virtual host on {listener.socket} has the server name {request.host}"
        outcome = f"The connection is closed: {reason}."
        return refuse(intent.site, title, None, outcome, str(listener.socket), listener_reason, reason)
    if found is None:
        reason = f"no virtual host on {listener.socket} has the domain {request.host}"
        return refuse(
            intent.site, title, 404, f"Envoy answers 404: {reason}.", str(listener.socket), listener_reason, reason
        )
    virtual_host, domain = found
    listener_reason += _termination(listener, virtual_host)
    trials, rule, match = _try(virtual_host, request, listener.socket.port)
    way = explain_way(request, virtual_host, rule, match) if rule and match else Way(())
    clusters, status, reached, outcome = (
        _act(intent, rule, match, request, health)
        if way.status is None
        else ((), way.status, False, f"Envoy answers {way.status}: {way.answer}.")
    )
    return Explanation(
        site=intent.site,
        request=title,
        listener=str(listener.socket),
        listener_reason=listener_reason,
        virtual_host=virtual_host.key,
        domain=domain,
        domain_reason=_domain_reason(domain, request.host),
        trials=trials,
        steps=way.steps,
        action=_action_name(rule.action) if rule else "refuse",
        status=status,
        clusters=clusters,
        reached=reached,
        outcome=outcome,
    )


def _listener(intent: Intent, request: Request) -> tuple[Listener | None, str]:
    wanted = request.port or (443 if request.secure else 80)
    known = [each for each in intent.listeners if each.socket.transport == "tcp" and not each.for_challenges]
    able = [each for each in known if each.socket.port == wanted]
    reason = f"listens on port {wanted}"
    if not able and request.port is None:
        able, reason = known, f"the URL names no port, and nothing listens on port {wanted}"
    address = request.host.rpartition(":")[0] if request.port else request.host
    able = [each for each in able if each.socket.address == address.strip("[]")] or able
    if not able:
        ports = ", ".join(str(port) for port in sorted({each.socket.port for each in known})) or "no port"
        return None, f"{intent.site} listens on {ports}, not on {wanted}"
    for listener in able:
        named = find_chain(listener.chains, _server_name(request.host))
        if named or find_virtual_host(listener.virtual_hosts, request.host, listener.socket.port) is not None:
            return listener, reason
    return able[0], reason


def _server_name(host: str) -> str:
    return host.partition(":")[0]


def _hosts(listener: Listener) -> tuple[VirtualHost, ...]:
    """Those in which requests are routed."""
    terminated = (chain.to for chain in listener.chains if isinstance(chain.to, VirtualHost))
    return (*listener.virtual_hosts, *terminated)


def _termination(listener: Listener, virtual_host: VirtualHost) -> str:
    tls = next((chain.terminate for chain in listener.chains if chain.to is virtual_host), None)
    if tls is None:
        return ""
    names = ", ".join(key.path for key in tls.certificates)
    asked = "" if tls.trusted is None else "; clients " + ("must" if tls.required else "may") + " show a certificate"
    quic = f"; clients hear by alt-svc of HTTP/3 on UDP port {listener.socket.port}" if tls.http3 else ""
    return f", and terminates TLS with {names}{asked}{quic}"


def _domain_reason(domain: str, host: str) -> str:
    if domain == "*":
        return f"no other domain matches {host}, and it takes any (*)"
    return f"{domain} is the longest wildcard for {host}" if domain.startswith("*") else f"its domain is {domain}"


def _try(virtual_host: VirtualHost, request: Request, port: int) -> tuple[tuple[Trial, ...], Rule | None, Match | None]:
    trials = []
    for rule in virtual_host.rules:
        cors = rule.options.cors or virtual_host.options.cors
        failures = []
        for match in rule.matches:
            preflight = preflight_match(match) if cors is not None and cors.enabled else None
            if preflight is not None and first_failure(preflight, request, port) is None:
                trials.append(Trial(rule.route, True, "a preflight request for what it takes"))
                return tuple(trials), rule, match
            failure = first_failure(match, request, port)
            if failure is None:
                reason = "every condition holds" if match != Match() else "it takes every request"
                trials.append(Trial(rule.route, True, reason))
                return tuple(trials), rule, match
            failures.append(failure)
        trials.append(Trial(rule.route, False, "; ".join(failures)))
    return tuple(trials), None, None


def _action_name(action: Action) -> str:
    if isinstance(action, Forward):
        return "forward"
    return "redirect" if isinstance(action, Redirect) else "respond"


def _act(
    intent: Intent, rule: Rule | None, match: Match | None, request: Request, health: Health
) -> tuple[tuple[ClusterView, ...], int | None, bool, str]:
    """Clusters, status of an answer of Envoy's own, whether an application is reached, and the outcome."""
    if rule is None or match is None:
        return (), 404, False, "Envoy answers 404: no route of the virtual host matches."
    action = rule.action
    if isinstance(action, DirectResponse):
        return (), action.status, False, f"Envoy answers {action.status} itself, as the route says."
    if isinstance(action, Redirect):
        to = _destination(action, match, request)
        return (), action.code, False, f"Envoy answers {action.code} and sends the client to {to}."
    views, outcome = explain_shares(intent, action.shares, health, nowhere="no site: 503")
    if not any(site.percent for view in views for site in view.sites):
        return views, 503, False, "Envoy answers 503: no endpoint of the route's clusters can be used."
    return views, None, True, outcome


def _destination(redirect: Redirect, match: Match, request: Request) -> str:
    parts = [
        f"scheme {redirect.scheme}" if redirect.scheme else "",
        f"host {redirect.host}" if redirect.host else "",
        f"port {redirect.port}" if redirect.port else "",
        f"path {redirect.path}" if redirect.path else "",
        f"prefix {redirect.prefix}" if redirect.prefix is not None else "",
        f"path {rewritten_path(redirect, request.path, match)}" if redirect.regex is not None else "",
    ]
    return ", ".join(part for part in parts if part)
