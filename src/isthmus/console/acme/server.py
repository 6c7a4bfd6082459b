"""What is said to an ACME server. All calls block; those that wait for it are short and made again.

The library parses no tls-alpn-01 challenge, so that is read here: of it only token and address are needed.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import josepy.errors
import requests
from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64encode
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from isthmus.console.acme.transport import AnswerTooLong, CheckedAdapter
from isthmus.console.target import Networks, TargetRefused
from isthmus.model.acme import Challenge, ChallengeType

_TYPES: dict[ChallengeType, str] = {"HTTP_01": "http-01", "TLS_ALPN_01": "tls-alpn-01"}
_TIMEOUT_SECONDS = 20
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{16,}={0,2}")
_NONCES = 5
"""How often a request is sent again whose nonce the server does not take."""
_LONGEST_REASON = 500
_LAST_LOOK = timedelta(seconds=1)
"""A look at an order takes the library a second, which it waits first."""


class AcmeFailed(Exception):
    """A certificate could not be got; the text says why, for people.

    Attributes:
        retry_after: for how long the server wants to be left alone; None when it did not say.
    """

    def __init__(self, reason: str, retry_after: timedelta | None = None) -> None:
        super().__init__(reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}…")
        self.retry_after = retry_after


class External(NamedTuple):
    """An account elsewhere: its key's name, and the key in base64url, which is private."""

    key_id: str
    mac_key: str


@dataclass(slots=True)
class Order:
    """An order that is under way.

    Attributes:
        challenges: what has to be answered for it; empty when the server knows already that the names are ours.
    """

    challenges: tuple[Challenge, ...]
    resource: Any
    asked: tuple[Any, ...]


class _Network(ClientNetwork):
    """The library's, which tries again more often, and remembers what the server said about time.

    The directory is declared by people who may not reach what the console reaches, and the server says every other
    URL: so each is https, reaches only where the console may send, by no proxy, and is not led elsewhere.
    """

    retry_after: timedelta | None = None

    def __init__(self, key: JWKEC, allowed: Networks, **options: Any) -> None:
        super().__init__(key, **options)
        self.session.trust_env = False
        self.adapter = CheckedAdapter(allowed)
        self.session.mount("https://", self.adapter)

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        for _ in range(_NONCES):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        if not url.lower().startswith("https://"):
            raise AcmeFailed(f"the server names {url}, which is not https")
        response = super()._send_request(method, url, *args, **{**kwargs, "allow_redirects": False})
        if response.is_redirect:
            raise AcmeFailed(f"{url} answers {response.status_code}, a redirect, which is not followed")
        self.retry_after = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        return response


def parse_retry_after(text: str | None, now: datetime) -> timedelta | None:
    """The wait that a Retry-After header (RFC 9110, 10.2.3) asks for; None without one or when it says nothing."""
    if text is None:
        return None
    if text.strip().isdigit():
        return timedelta(seconds=min(int(text), 10**9))
    try:
        wait = parsedate_to_datetime(text) - now
    except (ValueError, TypeError):
        return None
    return max(wait, timedelta(0))


class AcmeServer:
    """A server, spoken to as one account. Every method raises AcmeFailed, but for `cut` and `close`."""

    def __init__(
        self, directory: str, account_key: str, authorities: str | None, release: str, allowed: Networks = ()
    ) -> None:
        """Args: URL; PEM of the account's P-256 key; file of authorities that are believed, None for the system's;
        release of the product, for the server's log; networks besides the public internet where it may be."""
        key = serialization.load_pem_private_key(account_key.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._directory = directory
        self._key = JWKEC(key=key)
        verify: Any = authorities if authorities is not None else True  # the library passes it on to `requests`
        self._network = _Network(
            self._key,
            allowed,
            alg=ES256,
            verify_ssl=verify,
            user_agent=f"isthmus/{release}",
            timeout=_TIMEOUT_SECONDS,
        )
        self._client: ClientV2 | None = None

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except AcmeFailed:
            raise
        except (TargetRefused, AnswerTooLong) as error:
            raise AcmeFailed(str(error)) from error
        except messages.Error as error:
            raise AcmeFailed(_reason(error), self._network.retry_after) from error
        except requests.exceptions.SSLError as error:
            text = f"the certificate of {self._directory} is not trusted; set spec.acme.trustedAuthority ({error})"
            raise AcmeFailed(text) from error
        except requests.exceptions.RequestException as error:
            raise AcmeFailed(f"{self._directory} cannot be reached: {error}", self._network.retry_after) from error
        except (errors.Error, josepy.errors.Error, ValueError, KeyError, TypeError, AttributeError) as error:
            text = f"{self._directory} gave an answer that is none: {type(error).__name__}: {error}"
            raise AcmeFailed(text, self._network.retry_after) from error

    def cut(self) -> None:
        """End the call that another thread makes: nobody waits for it any more. No call is made after it."""
        self._network.adapter.cut()

    def close(self) -> None:
        """Let go of the connections."""
        self._network.session.close()

    def open(self, email: str | None, external: External | None = None) -> None:
        """Read the directory; make the account, or find it."""
        if external is not None:
            _check_mac_key(external)
        with self._failing():
            self._network.account = None  # the request for one names none
            directory = ClientV2.get_directory(self._directory, self._network)
            client = ClientV2(directory, self._network)
            fields: dict[str, Any] = {"terms_of_service_agreed": True}
            if email is not None:
                fields["email"] = email
            if external is not None:
                fields["external_account_binding"] = messages.ExternalAccountBinding.from_data(
                    self._key.public_key(), external.key_id, external.mac_key, directory
                )
            registration = messages.NewRegistration.from_data(**fields)
            try:
                client.new_account(registration)
            except errors.ConflictError as known:
                body = messages.Registration()
                self._network.account = messages.RegistrationResource(body=body, uri=known.location)
            self._client = client

    @property
    def _opened(self) -> ClientV2:
        assert self._client is not None, "open comes first"
        return self._client

    def order(self, request: bytes, kind: ChallengeType) -> Order:
        """Order a certificate, and pick what is to be answered for each name."""
        with self._failing():
            resource = self._opened.new_order(request)
            picked = [
                self._pick(authorization, kind)
                for authorization in resource.authorizations
                if authorization.body.status != messages.STATUS_VALID
            ]
        return Order(tuple(challenge for challenge, _ in picked), resource, tuple(body for _, body in picked))

    def _pick(self, authorization: Any, kind: ChallengeType) -> tuple[Challenge, Any]:
        domain = str(authorization.body.identifier.value)
        if authorization.body.status != messages.STATUS_PENDING:
            raise AcmeFailed(f"the server says {authorization.body.status.name} of {domain}")
        offered = {_type_of(each): each for each in authorization.body.challenges}
        body = offered.get(_TYPES[kind])
        if body is None:
            others = ", ".join(sorted(offered))
            raise AcmeFailed(f"the server offers no {_TYPES[kind]} for {domain}, only {others}")
        token = _token_of(body)
        answer = f"{token}.{b64encode(self._key.thumbprint()).decode()}"
        return Challenge(type=kind, domain=domain, token=token, answer=answer), body

    def answer(self, order: Order) -> None:
        """Tell the server that the challenges can be asked."""
        with self._failing():
            for body, challenge in zip(order.asked, order.challenges, strict=True):
                response = challenges.HTTP01Response(key_authorization=challenge.answer)  # sent as {} for every type
                self._opened.answer_challenge(body, response)

    def is_validated(self, order: Order) -> bool:
        """Whether the server has found every answer; raises AcmeFailed when it says of one that it is wrong."""
        with self._failing():
            for authorization in order.resource.authorizations:
                found, _ = self._opened.poll(authorization)
                if found.body.status == messages.STATUS_PENDING:
                    return False
                if found.body.status != messages.STATUS_VALID:
                    raise AcmeFailed(_refusal(found))
        return True

    def finalize(self, order: Order) -> None:
        """Ask for the certificate."""
        with self._failing():
            self._opened.begin_finalization(order.resource)

    def fetch(self, order: Order) -> str | None:
        """The chain (PEM), the own certificate first; None while the server is at it. Takes a second."""
        with self._failing():
            try:
                deadline = datetime.now() + _LAST_LOOK / 2  # the library compares with local time
                chain = self._opened.poll_finalization(order.resource, deadline).fullchain_pem
            except errors.TimeoutError:
                return None
        return str(chain)


def _check_mac_key(external: External) -> None:
    if not _BASE64URL.fullmatch(external.mac_key):
        raise AcmeFailed(
            f"the MAC key of the external account {external.key_id} is not base64url; give it as you got it"
        )


def _type_of(body: Any) -> str:
    chall = body.chall
    return str(chall.jobj.get("type", "")) if isinstance(chall, challenges.UnrecognizedChallenge) else str(chall.typ)


def _token_of(body: Any) -> str:
    chall = body.chall
    if isinstance(chall, challenges.UnrecognizedChallenge):
        return str(chall.jobj["token"])
    return str(chall.encode("token"))


def _reason(error: messages.Error) -> str:
    code = str(error.typ).rpartition(":")[2]
    named = f" ({error.identifier.value})" if error.identifier is not None else ""
    parts = [f"{code}{named}: {error.detail or error.title or 'no reason given'}"]
    parts += [_reason(each) for each in error.subproblems or ()]
    return "; ".join(parts)


def _refusal(authorization: Any) -> str:
    domain = authorization.body.identifier.value
    for body in authorization.body.challenges:
        if body.error is not None:
            return f"{domain} was not validated: {_reason(body.error)}"
    return f"{domain} was not validated: the server says {authorization.body.status.name}"


MakeServer = Callable[[str, str, str | None], AcmeServer]
"""From directory, account key and file of authorities."""
