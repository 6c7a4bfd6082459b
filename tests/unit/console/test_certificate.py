"""Certificates on a virtual host's page: for what, from where, and for how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from isthmus.console.web.certificate import certificate_line
from isthmus.model.acme import AcmeState
from isthmus.model.document import parse_documents

from .conftest import Running, document
from .visitor import Browser, admin

NOW = datetime.now(UTC)


def certificate(**spec: Any) -> Any:
    (found,) = parse_documents([document("Certificate", "web", spec)]).objects
    return found


@pytest.mark.parametrize(
    ("days", "state"),
    [(30, ("good", "valid")), (13, ("warn", "ends soon")), (-1, ("bad", "has expired"))],
)
def test_how_long_a_certificate_lasts(pki: Any, days: float, state: tuple[str, str]) -> None:
    issued = pki.issue("a.example", days=days)
    line = certificate_line(certificate(chain=issued.chain, privateKey=issued.private_key), NOW)
    assert (line.level, line.text) == state
    assert line.until is not None
    assert abs(line.until - NOW - timedelta(days=days)) < timedelta(hours=1)
    assert (line.names, line.source) == (("a.example",), "as given")


def test_what_the_console_does_not_know_is_said_so() -> None:
    line = certificate_line(certificate(chainFile="/etc/tls/a.pem", privateKeyFile="/etc/tls/a.key"), NOW)
    assert (line.level, line.text, line.until, line.source) == ("idle", "read at the sites", None, "/etc/tls/a.pem")


def test_one_by_acme_is_waited_for_and_then_as_any_other(pki: Any) -> None:
    pending = certificate(acme={"domains": ["a.example"], "termsOfServiceAgreed": True})
    line = certificate_line(pending, NOW)
    assert (line.level, line.text, line.names, line.until) == ("warn", "yet to be issued", ("a.example",), None)
    line = certificate_line(pending.with_acme(AcmeState(chain=pki.issue("a.example", days=60).chain)), NOW)
    assert (line.level, line.text, line.source) == ("good", "valid", "by ACME")


async def test_the_page_of_a_virtual_host_says_when_its_certificates_end(
    browser: Browser, shop: Running, pki: Any
) -> None:
    issued = pki.issue("shop.example", days=5)
    await shop.apply(
        document("Certificate", "web", {"chain": issued.chain, "privateKey": issued.private_key}),
        document("AdvertisePolicy", "tls", {"where": {"virtualSite": "edge"}, "port": 443}),
        document(
            "VirtualHost",
            "secure",
            {
                "domains": ["shop.example"],
                "proxy": "HTTPS",
                "routes": [{"name": "all"}],
                "advertisePolicies": [{"name": "tls"}],
                "tls": {"certificates": [{"name": "web"}]},
            },
        ),
    )
    await admin(browser, shop)
    page = (await browser.http.get("/virtualhosts/default/secure")).text
    assert "<h2>Certificates</h2>" in page
    assert "ends soon" in page
    assert "in 4 d" in page or "in 5 d" in page
    assert issued.private_key.splitlines()[1] not in page
    assert "<h2>Certificates</h2>" not in (await browser.http.get("/virtualhosts/default/shop")).text
