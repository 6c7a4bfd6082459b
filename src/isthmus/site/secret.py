"""The secrets of a site: its own certificate, values that were sealed to it, and certificates that it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from isthmus.emit.envoy.tls import emit_secrets
from isthmus.identity import Credential
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.site.certificate import LOOK, CertificateStore
from isthmus.site.certificate_file import CertificateFiles
from isthmus.site.inventory import Refusal
from isthmus.site.vault import Vault


class Secrets:
    """`credential` is the site's own of now."""

    def __init__(self, vault: Vault, files: CertificateFiles, credential: Callable[[], Credential]) -> None:
        self._vault = vault
        self._certificates = CertificateStore(vault, files)
        self._credential = credential

    def take(self, changed: Mapping[ObjectKey, Object | None]) -> None:
        """Take in changed objects (None: gone), and tell whoever watches a private value."""
        unsealed = self._vault.take(changed)
        self._certificates.take(changed, unsealed)
        self._vault.tell(unsealed)

    def served(self) -> dict[str, bytes]:
        """What Envoy is given, by name."""
        credential = self._credential()
        own = emit_secrets(credential.chain_pem, credential.key_pem, credential.bundle_pem)
        return {**own, **self._certificates.secrets}

    @property
    def refusals(self) -> dict[ObjectKey, Refusal]:
        """Why something is not served."""
        return {**self._certificates.refusals, **self._vault.refusals}

    async def keep(self, served: Callable[[], None], refused: Callable[[], None]) -> None:
        """Look at files of certificates, until cancelled. `served` and `refused` are called when these say others."""
        while True:
            await asyncio.sleep(LOOK)
            before = dict(self._certificates.refusals)
            if self._certificates.look():
                served()
            if self._certificates.refusals != before:
                refused()
