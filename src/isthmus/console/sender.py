"""One message to one receiver of alerts: over HTTPS, or through a mail server."""

import asyncio
import contextlib
import json
import re
import smtplib
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from isthmus import __version__
from isthmus.alert.email import emit_email
from isthmus.alert.notification import Notification
from isthmus.alert.pager_duty import emit_pager_duty
from isthmus.alert.slack import emit_slack
from isthmus.alert.webhook import emit_webhook
from isthmus.console.target import Networks, TargetRefused, TargetUnknown, find_addresses
from isthmus.model.alert_receiver import AlertReceiver, Email, check_url

_SECONDS = 10.0
"""Limit for connecting, and for each answer."""
_ANSWER = 4096
"""Bytes of an answer that are read."""
_SHOWN = 120
_HEADER = re.compile(r"[\x21-\x7e \t]*")
"""What a header may hold. It is looked at before: the library's refusal shows the value."""
_LATER = (408, 425, 429)
"""Answers of HTTP, beside 5xx, after which the same request may succeed."""

_THREADS = ThreadPoolExecutor(32, "mail")
"""As many as receivers are sent to at the same time."""


class SendFailed(Exception):
    """Not delivered. The message is a sentence for people, without secrets. `final`: trying again would not help."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent.

    Attributes:
        receiver: who is told.
        secrets: texts of its secrets by field: `urlSecret`, `bearerToken`, `routingKey`, `password`.
        authority: PEM that the server's certificate is checked against; the system's when empty.
        console: URL of the console.
        id: the same whenever this delivery is tried.
        created: seconds since 1970.
    """

    receiver: AlertReceiver
    secrets: Mapping[str, str]
    authority: str
    notification: Notification
    console: str
    id: str
    created: float


async def send(letter: Letter, allowed: Networks) -> str:
    """Send it; what the receiver said.

    Raises:
        SendFailed: it was not taken.
    """
    spec = letter.receiver.spec
    try:
        if spec.email is not None:
            message = emit_email(letter.notification, spec.email, letter.console, letter.id, letter.created)
            addresses = await find_addresses(spec.email.host, spec.email.server_port, allowed)
            return await _mail(letter, spec.email, message, addresses)
        return await _post(letter, allowed)
    except TargetRefused as error:
        raise SendFailed(str(error), final=True) from error
    except TargetUnknown as error:
        raise SendFailed(str(error)) from error


def _request(letter: Letter) -> tuple[str, dict[str, str], dict[str, Any], bool]:
    """URL, headers, body, and whether there is a secret in them."""
    spec, told = letter.receiver.spec, letter.notification
    if spec.slack is not None:
        return letter.secrets["urlSecret"].strip(), {}, emit_slack(told, letter.console), True
    if spec.pager_duty is not None:
        return (
            spec.pager_duty.url,
            {},
            emit_pager_duty(told, letter.secrets["routingKey"].strip(), letter.console),
            True,
        )
    assert spec.webhook is not None
    url = spec.webhook.url or letter.secrets["urlSecret"].strip()
    token = letter.secrets.get("bearerToken", "").strip()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return url, headers, emit_webhook(told, letter.receiver.key.path, letter.console), bool(headers)


async def _post(letter: Letter, allowed: Networks) -> str:
    url, headers, body, secret = _request(letter)
    try:
        check_url(url)
    except ValueError as error:
        raise SendFailed(f"The URL in the Secret {error}.", final=True) from None
    parts = urlsplit(url)
    host = parts.hostname or ""
    if secret and parts.scheme != "https":
        raise SendFailed("A secret would be sent over http://, where it could be read; use https://.", final=True)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not all(_HEADER.fullmatch(value) for value in headers.values()):
        raise SendFailed(
            "The Secret of bearerToken holds a line break, a control character or one beyond ASCII; no header can.",
            final=True,
        )
    addresses = await find_addresses(host, port, allowed)
    headers |= {"Host": parts.netloc, "User-Agent": f"isthmus/{__version__}", "Content-Type": "application/json"}
    # no proxy and no redirect: both would lead to an address that nobody looked at
    transport = httpx.AsyncHTTPTransport(verify=_tls(letter.authority))
    async with httpx.AsyncClient(transport=transport, timeout=_SECONDS, trust_env=False) as client:
        for index, address in enumerate(addresses):
            there = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            target = urlunsplit((parts.scheme, there, parts.path or "/", parts.query, ""))
            try:
                async with client.stream(
                    "POST", target, content=json.dumps(body), headers=headers, extensions={"sni_hostname": host}
                ) as response:
                    text = await _beginning(response)
                return _judge(response.status_code, text, host)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if index == len(addresses) - 1:
                    raise SendFailed(f"{host}:{port} cannot be reached: {_why(error)}.") from error
            except httpx.LocalProtocolError:
                raise SendFailed("The request cannot be written as HTTP; look at the Secret.", final=True) from None
            except httpx.HTTPError as error:
                raise SendFailed(f"{host}:{port} does not answer: {_why(error)}.") from error
    raise SendFailed(f"{host}:{port} cannot be reached.")


async def _beginning(response: httpx.Response) -> str:
    text = b""
    async for part in response.aiter_bytes(_ANSWER):
        text += part
        if len(text) >= _ANSWER:
            break
    return text[:_ANSWER].decode(errors="replace")


def _judge(status: int, text: str, host: str) -> str:
    said = _printable(text)
    if 200 <= status < 300:
        return f"{status}{f' {said}' if said else ''}"
    if 300 <= status < 400:
        raise SendFailed(f"{host} answers {status}, a redirect, which is not followed.", final=True)
    final = status < 500 and status not in _LATER
    raise SendFailed(f"{host} answers {status}{f': {said}' if said else ''}.", final=final)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:_SHOWN]).strip()


def _tls(authority: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority or None)


def _why(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not believed ({cause.verify_message})"
        cause = cause.__cause__ or cause.__context__
    return _printable(str(error)).rstrip(".") or type(error).__name__


# ---- mail


class _Smtp(smtplib.SMTP):
    """Connects to an address that was looked at, and checks the certificate for the name."""

    def __init__(
        self, host: str, port: int, address: str, context: ssl.SSLContext | None, opened: list[socket.socket]
    ) -> None:
        self._address = address
        self._context = context
        self._opened = opened
        super().__init__(host, port, local_hostname=socket.gethostname(), timeout=_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: Any) -> socket.socket:
        plain = socket.create_connection((self._address, port), timeout)
        made = plain if self._context is None else self._context.wrap_socket(plain, server_hostname=host)
        self._opened.append(made)
        return made


async def _mail(letter: Letter, email: Email, message: EmailMessage, addresses: list[str]) -> str:
    place = f"{email.host}:{email.server_port}"
    for index, address in enumerate(addresses):
        try:
            return await _in_thread(letter, email, message, address)
        except smtplib.SMTPResponseException as error:
            said = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            text = f"{place} answers {error.smtp_code}: {_printable(str(said))}"
            raise SendFailed(f"{text.rstrip('.')}.", final=error.smtp_code >= 500) from error
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            text = f"{place} takes no mail for {', '.join(error.recipients)} ({', '.join(map(str, codes))})."
            raise SendFailed(text, final=min(codes) >= 500) from error
        except smtplib.SMTPNotSupportedError as error:
            text = f"{place} lacks what is asked for: {_printable(str(error)).rstrip('.')}."
            raise SendFailed(text, final=True) from error
        except UnicodeEncodeError:
            text = f"{email.host} cannot be logged in to: the user name or the password holds characters beyond ASCII."
            raise SendFailed(text, final=True) from None
        except (OSError, smtplib.SMTPException) as error:
            if index == len(addresses) - 1:
                raise SendFailed(f"{place} cannot be reached: {_why(error)}.") from error
    raise SendFailed(f"{place} cannot be reached.")


async def _in_thread(letter: Letter, email: Email, message: EmailMessage, address: str) -> str:
    """In threads of their own: a mail server that says a letter an hour must not hold up anything else."""
    opened: list[socket.socket] = []
    try:
        return await asyncio.get_running_loop().run_in_executor(
            _THREADS, _hand_in, letter, email, message, address, opened
        )
    except asyncio.CancelledError:
        for each in opened:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # the thread waits for nothing any more
        raise


def _hand_in(letter: Letter, email: Email, message: EmailMessage, address: str, opened: list[socket.socket]) -> str:
    context = _tls(letter.authority)
    implicit = context if email.tls == "TLS" else None
    with _Smtp(email.host, email.server_port, address, implicit, opened) as server:
        if email.tls == "STARTTLS":
            server.starttls(context=context)
        if email.username:
            server.login(email.username, letter.secrets["password"].strip())
        refused = server.send_message(message, email.sender, list(email.to))
    if refused:
        return f"taken, but not for {', '.join(refused)}"
    return f"taken for {len(email.to)} {'recipient' if len(email.to) == 1 else 'recipients'}"
