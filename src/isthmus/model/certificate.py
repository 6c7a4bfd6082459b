"""Certificate: what a virtual host shows to clients, or a site shows to endpoints."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from isthmus.model.acme import AcmeSpec, AcmeState
from isthmus.model.check import check_whole
from isthmus.model.object import Object, Spec, System, Use
from isthmus.model.pem import Chain, certificate_names, check_key
from isthmus.model.private import Private

SiteFile = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]+$", max_length=1024)]
"""Absolute path of a file at the sites."""


class CertificateSpec(Spec):
    """Chain and private key, as text or as files at the sites, or from an ACME server."""

    chain: Chain | None = Field(
        None, description="PEM of the certificate, followed by the one that issued it, and so on up to the root."
    )
    private_key: Private | None = Field(
        None,
        description="PEM of the private key of `chain`, without password. It is written and never read back: `get` "
        "gives `kept:` and a fingerprint, which when applied leaves the key as it is.",
    )
    chain_file: SiteFile | None = Field(
        None,
        description="File with the chain at every site that needs it, instead of `chain`; read again on change. It may "
        "not lie in the state directory of a site agent, and a site may allow one folder alone.",
    )
    private_key_file: SiteFile | None = Field(
        None, description="File with the private key beside `chainFile`, readable by the site agent."
    )
    acme: AcmeSpec | None = Field(
        None,
        description="Have the console get and renew it from an ACME server (RFC 8555), instead of all of the above.",
    )

    @check_whole
    def _complete(self) -> Self:
        ways = ((self.chain, self.private_key), (self.chain_file, self.private_key_file), (self.acme,))
        begun = [way for way in ways if any(part is not None for part in way)]
        if len(begun) != 1 or None in begun[0]:
            raise ValueError("set either chain and privateKey, or chainFile and privateKeyFile, or acme")
        return self

    @check_whole
    def _belongs(self) -> Self:
        if self.chain is not None and self.private_key is not None and self.private_key.text is not None:
            try:
                check_key(self.private_key.text, self.chain)
            except ValueError as error:
                raise ValueError(f"privateKey {error}" if str(error).startswith("is ") else str(error)) from None
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """What ACME needs."""
        return self.acme.uses(tenant, namespace) if self.acme is not None else iter(())


class CertificateSystem(System):
    """What the console adds to a certificate: what it got by ACME."""

    acme: AcmeState | None = None


class Certificate(Object):
    """A certificate chain and its private key."""

    plural: ClassVar[str] = "certificates"

    kind: Literal["Certificate"] = "Certificate"
    spec: CertificateSpec
    system: CertificateSystem = CertificateSystem()

    @property
    def chain(self) -> str | None:
        """PEM: as declared, or as an ACME server issued it. None of one in files, or of one yet to be issued."""
        if self.spec.acme is None:
            return self.spec.chain
        return self.system.acme.chain if self.system.acme is not None else None

    @property
    def pending(self) -> bool:
        """Whether it is yet to be issued."""
        return self.spec.acme is not None and self.chain is None

    @property
    def names(self) -> tuple[str, ...] | None:
        """What it is for, or is to be for; None of one in files, which only the sites know."""
        if self.spec.acme is not None:
            return self.spec.acme.domains
        return certificate_names(self.spec.chain) if self.spec.chain is not None else None

    @property
    def private(self) -> dict[str, Private]:
        """See Object. The key that came by ACME has the same name as one that was given."""
        if self.spec.acme is None:
            return super().private
        key = self.system.acme.private_key if self.system.acme is not None else None
        return {"privateKey": key} if key is not None else {}

    def with_private(self, values: Mapping[str, Private]) -> Self:
        """See Object."""
        if self.spec.acme is None or self.system.acme is None:
            return super().with_private(values)
        return self.with_acme(self.system.acme.model_copy(update={"private_key": values["privateKey"]}))

    def with_acme(self, acme: AcmeState | None) -> Self:
        """The same certificate with something else got by ACME."""
        return self.model_copy(update={"system": self.system.model_copy(update={"acme": acme})})

    def with_system(self, system: System) -> Self:
        """See Object. What came by ACME stays."""
        known = CertificateSystem(created=system.created, number=system.number, acme=self.system.acme)
        return self.model_copy(update={"system": known})

    def succeeding(self, old: Object) -> Self:
        """See Object. Whoever applies the document of an ACME certificate again knows nothing of what it got, so that
        is kept; and a pair that was given by hand serves on until the first is issued."""
        new = self.with_system(old.system)
        if self.spec.acme is None:
            return new.with_acme(None)
        if self.system.acme is not None or not isinstance(old, Certificate):
            return new
        if old.system.acme is not None:
            return new.with_acme(old.system.acme)
        if old.spec.chain is None:
            return new
        return new.with_acme(AcmeState(chain=old.spec.chain, private_key=old.spec.private_key))
