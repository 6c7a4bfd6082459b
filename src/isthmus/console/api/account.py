"""/accounts, /sign-in-codes: people who use the console in the browser."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from isthmus.console.api.answer import (
    AccountInfo,
    AccountList,
    AccountRequest,
    ErrorAnswer,
    PasswordRequest,
    SignInCodeAnswer,
)
from isthmus.console.api.context import ApiContext, Caller, Context
from isthmus.console.api.membership import add_audit
from isthmus.console.error import RequestRefused
from isthmus.console.record import Account, ApiToken, emit_time
from isthmus.console.session import MOST_TURNS, account_name, hash_password, verify_password

router = APIRouter(tags=["accounts"])
_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (404, 409, 422)}
_OFTEN: dict[int | str, dict[str, Any]] = {429: {"model": ErrorAnswer}}


@router.post("/accounts", status_code=201, responses=_ERRORS)
async def create_account(body: AccountRequest, context: Context, caller: Caller) -> AccountInfo:
    """An account with which a person signs in to the console in the browser."""
    if context.sessions.account(body.name) is not None:
        raise RequestRefused(409, "exists", f"The user {body.name} exists already.")
    password = await asyncio.to_thread(hash_password, body.password)
    account = Account(body.name, body.role, password, datetime.now(UTC))
    await _put(context, account)
    await add_audit(context, caller.name, "user.created", f"{body.role} {body.name}")
    return _info(account)


@router.get("/accounts")
async def list_accounts(context: Context, caller: Caller) -> AccountList:
    """The accounts, without their passwords."""
    return AccountList(items=[_info(account) for account in context.sessions.accounts()])


@router.put("/accounts/{name}/password", responses={**_ERRORS, **_OFTEN})
async def set_password(name: str, body: PasswordRequest, context: Context, caller: Caller) -> AccountInfo:
    """A new password; whoever is signed in with the old one is signed out. Who is the account needs its old one."""
    known = _require(context, name)
    if account_name(caller) == name:
        await _prove(context, known, body.current)
        take_turn(context, caller)
    account = replace(known, password=await asyncio.to_thread(hash_password, body.password))
    await _put(context, account)
    await context.deployment.call(context.store.remove_sessions_of, name)
    await add_audit(context, caller.name, "user.password-changed", name)
    return _info(account)


@router.delete("/accounts/{name}", responses=_ERRORS)
async def delete_account(name: str, context: Context, caller: Caller) -> dict[str, str]:
    """Remove an account; it is signed out at once."""
    _require(context, name)
    await context.deployment.call(context.store.remove_account, name)
    context.sessions.remove_account(name)
    await add_audit(context, caller.name, "user.removed", name)
    return {"name": name}


@router.post("/sign-in-codes", status_code=201, responses=_OFTEN)
async def create_sign_in_code(context: Context, caller: Caller) -> SignInCodeAnswer:
    """A code that signs one browser in as the caller, once, within ten minutes.

    Open `URL/sign-in#CODE`: what comes after `#` never leaves the browser but in the form that it fills in.
    """
    take_turn(context, caller)
    code, expires = context.sessions.add_code(caller, datetime.now(UTC))
    await add_audit(context, caller.name, "sign-in-code.created", f"valid until {expires:%Y-%m-%d %H:%M} UTC")
    return SignInCodeAnswer(code=code, expires=emit_time(expires))


def take_turn(context: ApiContext, caller: ApiToken) -> None:
    """Count what the audit keeps for ever of a caller that may only read. Raises RequestRefused: 429."""
    wait = context.sessions.turn(caller, datetime.now(UTC))
    if wait:
        raise too_many(f"{caller.name} did this {MOST_TURNS} times in an hour.", wait)


async def _prove(context: ApiContext, account: Account, password: str) -> None:
    guesses, now = context.sessions.guesses, time.monotonic()
    wait = guesses.wait(account.name, now)
    if wait:
        raise too_many("Too many attempts failed.", wait)
    guesses.fail(account.name, now)  # before the answer is known: many at once are many
    if not await asyncio.to_thread(verify_password, password, account.password):
        raise RequestRefused(403, "wrong-password", f"This is not the password that {account.name} has now.")
    guesses.forget(account.name)


def too_many(what: str, wait: float) -> RequestRefused:
    """What is answered to somebody who has to wait so many seconds. `what`: a sentence that says why."""
    seconds = round(wait) + 1
    return RequestRefused(429, "too-many", f"{what} Try again in {seconds} seconds.", retry_after=seconds)


async def _put(context: ApiContext, account: Account) -> None:
    await context.deployment.call(context.store.put_account, account)
    context.sessions.put_account(account)


def _require(context: ApiContext, name: str) -> Account:
    account = context.sessions.account(name)
    if account is None:
        raise RequestRefused(404, "not-found", f"There is no user {name}.")
    return account


def _info(account: Account) -> AccountInfo:
    return AccountInfo(name=account.name, role=account.role, created=emit_time(account.created_at))
