"""Signing in, with an API token, a name and password, or a one-time code; and out."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_address, ip_network

from fastapi import APIRouter, Request, Response

from isthmus.console.api.account import take_turn
from isthmus.console.api.context import ApiContext, Context
from isthmus.console.api.membership import add_audit
from isthmus.console.error import RequestRefused
from isthmus.console.record import ApiToken
from isthmus.console.session import LONGEST_PASSWORD, Attempts, caller_of, verify_password
from isthmus.console.web.form import Form, read_form
from isthmus.console.web.page import PageRoute, go, render
from isthmus.console.web.visit import COOKIE, Reader, check_origin, find_session, local_target, set_cookie
from isthmus.protocol import Admission

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_ABSENT = (  # the hash of nothing that anybody knows: a name that does not exist takes as long as one that does
    "$argon2id$v=19$m=65536,t=3,p=4$YWJzZW50LWFic2VudC0tLQ$u0f0zpM9Zr2S9x0t8hYvJt2qzZ4m3lq0Q2m8n0fP1uE"
)


@dataclass(slots=True)
class Gate:
    """How often anybody may try: ten failures in five minutes per `peer_group`, and per name."""

    peers: Attempts = field(default_factory=lambda: Attempts(10, 300))
    names: Attempts = field(default_factory=lambda: Attempts(10, 300))
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One hash at a time, and no thread that waits for it."""
    logged: Admission = field(default_factory=lambda: Admission(per_second=0.2, burst=20))
    """Failures that go into the audit, which is kept for ever, and anybody can fail."""

    def wait(self, peer: str, name: str, now: float) -> float:
        """Seconds until this attempt may be made."""
        return max(self.peers.wait(peer, now), self.names.wait(name, now) if name else 0.0)

    def fail(self, peer: str, name: str, now: float) -> None:
        """The attempt counts as failed, from before its answer is known: many at once are many."""
        self.peers.fail(peer, now)
        if name:
            self.names.fail(name, now)

    def pass_(self, peer: str, name: str, moment: float) -> None:
        """The attempt that was counted at a moment has succeeded."""
        self.peers.forgive(peer, moment)
        self.names.forget(name)


def peer_group(host: str) -> str:
    """Whom attempts of an address count for: of IPv6 the /64, which is one customer's to choose addresses from."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False))


@router.get("/sign-in")
async def form(request: Request, context: Context) -> Response:
    """The form; whoever is signed in already goes on."""
    target = local_target(request.query_params.get("next", "/"))
    if find_session(request, context) is not None:
        return go(target)
    return _form(request, target)


@router.post("/sign-in")
async def sign_in(request: Request, context: Context) -> Response:
    """Sign in, and go on to the page that was asked for."""
    check_origin(request)
    given = await read_form(request)
    target = local_target(given.get("next", "/"))
    gate: Gate = request.app.state.gate
    host = request.client.host if request.client else "unknown"
    peer = peer_group(host)
    name = "" if given.get("code") or given.get("token") else given.get("name").strip()
    now = time.monotonic()
    wait = gate.wait(peer, name, now)
    if wait:
        return _form(request, target, f"Too many attempts failed. Try again in {round(wait) + 1} seconds.", 429, name)
    gate.fail(peer, name, now)
    caller = await _caller(context, gate, given, name)
    if caller is None:
        if not gate.logged.admit(0, time.monotonic()):
            await _log_failure(context, given, name, host)
        return _form(request, target, _reason(given), 403, name)
    gate.pass_(peer, name, now)
    try:
        take_turn(context, caller)
    except RequestRefused as refused:
        return _form(request, target, refused.message, refused.status, name)
    session, secret, ended = context.sessions.open(caller, datetime.now(UTC))
    await context.deployment.call(context.store.add_session, session, ended)
    await add_audit(context, caller.name, "sign-in.accepted", f"from {host}")
    response = go(target)
    set_cookie(response, secret)
    return response


@router.post("/sign-out")
async def sign_out(visit: Reader) -> Response:
    """End the session of this browser."""
    visit.context.sessions.end(visit.session.digest)
    await visit.context.deployment.call(visit.context.store.remove_session, visit.session.digest)
    response = go("/sign-in")
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


async def _caller(context: ApiContext, gate: Gate, given: Form, name: str) -> ApiToken | None:
    """Who signs in: by code, by token, or by name and password."""
    now = datetime.now(UTC)
    if given.get("code"):
        return context.sessions.use_code(given.get("code").strip(), now)
    if given.get("token"):
        return context.tokens.find(given.get("token").strip(), now)
    if not name or len(given.get("password")) > LONGEST_PASSWORD:
        return None
    account = context.sessions.account(name)
    async with gate.hashing:
        encoded = account.password if account is not None else _ABSENT
        right = await asyncio.to_thread(verify_password, given.get("password"), encoded)
    unchanged = account is not None and context.sessions.account(name) is account  # it may have waited for a while
    return caller_of(account) if account is not None and right and unchanged else None


def _reason(given: Form) -> str:
    if given.get("code"):
        return "This link was used already or has expired. Make a new one with `isthmus web`, or sign in below."
    if given.get("token"):
        return "This token is not valid: it is mistyped, expired or revoked."
    return "Name and password do not belong together."


async def _log_failure(context: ApiContext, given: Form, name: str, host: str) -> None:
    how = "code" if given.get("code") else "token" if given.get("token") else "password"
    await add_audit(context, (name or how)[:255], "sign-in.refused", f"by {how} from {host}")


def _form(request: Request, target: str, problem: str = "", status: int = 200, name: str = "") -> Response:
    return render("sign_in.html", request, status=status, target=target, problem=problem, name=name, title="Sign in")
