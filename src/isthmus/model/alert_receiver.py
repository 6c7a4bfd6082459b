"""AlertReceiver: where alerts are sent: a webhook, Slack, PagerDuty or e-mail."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.object import Frozen, Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.value import Port, check_text, count_set

ReceiverType = Literal["webhook", "slack", "pagerDuty", "email"]
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAILBOX = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_EVENTS = "https://events.pagerduty.com/v2/enqueue"


def check_url(value: str) -> str:
    """An absolute URL of HTTP without a user or a fragment.

    Raises:
        ValueError: the text is none.
    """
    try:
        parts = urlsplit(check_text(value))
        parts.port  # noqa: B018 - parsed only when it is asked for
    except ValueError:
        raise ValueError("is not a URL: write https://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in value:
        raise ValueError("is not a URL: write https://HOST/PATH")
    if parts.username or parts.password or parts.fragment:
        raise ValueError("must have no user, password or fragment; name a Secret for what is private")
    return value


def _check_mailbox(value: str) -> str:
    if not _MAILBOX.fullmatch(value):
        raise ValueError(f"{value!r} is not an e-mail address: write NAME@DOMAIN")
    return value


def _check_host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(f"{value!r} is not the name or address of a host")
    return value


Url = Annotated[str, Field(max_length=2048), AfterValidator(check_url)]
Host = Annotated[str, Field(max_length=253), AfterValidator(_check_host)]
Mailbox = Annotated[str, Field(max_length=254), AfterValidator(_check_mailbox)]


class Webhook(Frozen):
    """A server of one's own, which is sent the JSON of Prometheus' Alertmanager (version 4)."""

    url: Url | None = Field(None, description="Where to POST, for example `https://hooks.example/alerts`.")
    url_secret: Reference | None = Field(
        None, description="Secret that holds the URL, when the URL itself lets everybody post."
    )
    bearer_token: Reference | None = Field(None, description="Secret that is sent as `Authorization: Bearer`.")
    trusted_authority: Reference | None = Field(
        None, description="TrustedAuthority that the server's certificate is checked against; the system's when empty."
    )

    @check_whole
    def _one(self) -> Self:
        if count_set(self, ("url", "url_secret")) != 1:
            raise ValueError("set exactly one of url and urlSecret")
        if self.bearer_token is not None and self.url is not None and self.url.startswith("http://"):
            raise ValueError("the token could be read on its way over http://; use https://")
        return self


class Slack(Frozen):
    """A channel of Slack, by an incoming webhook."""

    url_secret: Reference = Field(description="Secret that holds the URL of the incoming webhook.")


class PagerDuty(Frozen):
    """A service of PagerDuty, by an integration of Events API v2. One incident for each group of alerts."""

    routing_key: Reference = Field(description="Secret that holds the integration (routing) key.")
    url: Url = Field(_EVENTS, description="The Events API; `https://events.eu.pagerduty.com/v2/enqueue` in the EU.")

    @check_whole
    def _encrypted(self) -> Self:
        if self.url.startswith("http://"):
            raise ValueError("the routing key could be read on its way over http://; use https://")
        return self


class Email(Frozen):
    """Messages through a mail server (SMTP), as plain text and HTML."""

    to: tuple[Mailbox, ...] = Field(min_length=1, max_length=50, description="Who receives it.")
    sender: Mailbox = Field(description="Address in From.")
    host: Host = Field(description="Name or address of the mail server.")
    port: Port | None = Field(None, description="587 with STARTTLS, 465 with TLS, 25 with NONE when left out.")
    tls: Literal["STARTTLS", "TLS", "NONE"] = Field(
        "STARTTLS",
        description="STARTTLS encrypts before anything is said and fails where the server cannot; TLS from the first "
        "byte; NONE does not encrypt.",
    )
    username: str = Field("", max_length=255, description="Name to log in with; no log-in when empty.")
    password: Reference | None = Field(None, description="Secret that holds the password.")
    trusted_authority: Reference | None = Field(
        None, description="TrustedAuthority that the server's certificate is checked against; the system's when empty."
    )

    @check_whole
    def _log_in(self) -> Self:
        if bool(self.username) != (self.password is not None):
            raise ValueError("set both username and password, or neither")
        if self.password is not None and self.tls == "NONE":
            raise ValueError("the password could be read on its way; use STARTTLS or TLS")
        return self

    @property
    def server_port(self) -> int:
        """The TCP port."""
        return self.port or {"STARTTLS": 587, "TLS": 465, "NONE": 25}[self.tls]


class AlertReceiverSpec(Spec):
    """Exactly one way to be told."""

    alternatives: ClassVar[tuple[str, ...]] = ("webhook", "slack", "pager_duty", "email")

    webhook: Webhook | None = Field(None, description="JSON as Alertmanager sends it.")
    slack: Slack | None = Field(None, description="A message in a Slack channel.")
    pager_duty: PagerDuty | None = Field(None, description="An incident of PagerDuty.")
    email: Email | None = Field(None, description="An e-mail.")
    send_resolved: bool = Field(True, description="Whether to tell that alerts are over, too.")

    @check_whole
    def _one(self) -> Self:
        if count_set(self, self.alternatives) != 1:
            raise ValueError("set exactly one of webhook, slack, pagerDuty and email")
        return self

    @property
    def type(self) -> ReceiverType:
        """Which of them it is."""
        if self.webhook is not None:
            return "webhook"
        if self.slack is not None:
            return "slack"
        return "pagerDuty" if self.pager_duty is not None else "email"

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """Secrets and authorities."""
        parts: tuple[tuple[str, Frozen | None], ...] = (
            ("webhook", self.webhook), ("slack", self.slack), ("pagerDuty", self.pager_duty), ("email", self.email),
        )  # fmt: skip
        fields = (
            ("urlSecret", "url_secret", "Secret"),
            ("bearerToken", "bearer_token", "Secret"),
            ("routingKey", "routing_key", "Secret"),
            ("password", "password", "Secret"),
            ("trustedAuthority", "trusted_authority", "TrustedAuthority"),
        )
        for name, part in parts:
            for field, attribute, kind in fields:
                reference = getattr(part, attribute, None)
                if reference is not None:
                    yield Use(f"spec.{name}.{field}", resolve(reference, kind, tenant, namespace))


class AlertReceiver(Object):
    """Somebody who is told of alerts, by the policies that name it."""

    plural: ClassVar[str] = "alertreceivers"

    kind: Literal["AlertReceiver"] = "AlertReceiver"
    spec: AlertReceiverSpec
