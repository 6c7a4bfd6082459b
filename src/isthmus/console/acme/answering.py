"""The sites that are to answer for a certificate: whether they do, and why the ACME server may not have seen it."""

import asyncio
import time
from collections.abc import Collection

from isthmus.compile.acme import PAGES_ELSEWHERE
from isthmus.console.acme.server import AcmeFailed
from isthmus.console.deployment import Deployment
from isthmus.console.observation import Observation
from isthmus.model.key import ObjectKey
from isthmus.model.overlap import server_name
from isthmus.model.virtual_host import VirtualHost
from isthmus.protocol import Version
from isthmus.slice import site_subject

_ANSWERING = frozenset(("certificate-pending", "not-served", "not-opened", PAGES_ELSEWHERE))
"""What a site may say of a certificate and answer for it nevertheless: there is none yet, or no key to it, or the
answers are where something before the site has to lead the question."""


class AnsweringSites:
    """`patience`: seconds that sites have to take up what is published."""

    def __init__(self, deployment: Deployment, observation: Observation, patience: float) -> None:
        self._deployment = deployment
        self._observation = observation
        self._patience = patience

    async def taken_up(self, key: ObjectKey) -> tuple[str, ...]:
        """Wait until every connected site that serves the certificate uses what is published; the others' names.

        Raises AcmeFailed when one does not in time or cannot, and when none is connected.
        """
        deadline = time.monotonic() + self._patience
        wanted: dict[str, Version | None] = {}
        while True:
            subjects = self._subjects(key)
            offline = tuple(name for name, subject in subjects.items() if not self._observation.of(subject).connected)
            behind = []
            for name, subject in subjects.items():
                version = wanted.setdefault(subject, self._deployment.publication.version(subject))
                if name not in offline and not self._uses(name, subject, key, version):
                    behind.append(name)
            if not behind and len(offline) < len(subjects):
                return offline
            if time.monotonic() > deadline:
                if behind:
                    raise AcmeFailed(f"no answer at {_named(behind)} within {self._patience:.0f} seconds")
                raise AcmeFailed(f"no site that serves it is connected: {_named(offline)}")
            await asyncio.sleep(0.1)

    def hints(self, key: ObjectKey, names: Collection[str]) -> tuple[str, ...]:
        """Why the ACME server may have seen no answer about these names: parts of a sentence for people."""
        found = []
        silent = sorted(site.name for site in self._silent(key, names))
        if silent:
            found.append(f"{_named(silent)} serves the name too, but nothing that names this certificate is there")
        for name, subject in self._subjects(key).items():
            said = (each for each in self._observation.of(subject).rejections if each.key == str(key))
            elsewhere = next((each for each in said if each.code == PAGES_ELSEWHERE), None)
            if elsewhere is not None:
                found.append(f"Site {name} says: {elsewhere.message}")
                break  # of many sites the reason is most likely the same
        return tuple(found)

    def _subjects(self, key: ObjectKey) -> dict[str, str]:
        """The sites that serve the certificate, by name."""
        return {site.name: site_subject(site) for site in sorted(self._deployment.index.sites_of(key))}

    def _silent(self, key: ObjectKey, names: Collection[str]) -> set[ObjectKey]:
        """The sites that serve one of the names and do not have the certificate, so that they answer nothing."""
        index, found = self._deployment.index, set[ObjectKey]()
        for other, record in self._deployment.records.items():
            host = record.object
            if not isinstance(host, VirtualHost) or other.tenant != key.tenant:
                continue
            if any(server_name(domain) in names for domain in host.spec.domains):
                found |= index.sites_of(other)
        return found - index.sites_of(key)

    def _uses(self, name: str, subject: str, key: ObjectKey, version: Version | None) -> bool:
        known = self._observation.of(subject)
        if known.applied is None or version is None or known.applied < version:
            return False
        for each in known.rejections:
            if each.key == str(key) and each.code not in _ANSWERING:
                reason = "it is of a release without ACME" if each.code == "unsupported" else each.message
                raise AcmeFailed(f"Site {name} does not answer: {reason}")
        return True


def _named(sites: Collection[str], most: int = 5) -> str:
    names = list(sites)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
