"""Certificate: what a virtual host shows to clients, or a site shows to endpoints."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from isthmus.model.object import Object, Spec
from isthmus.model.pem import Chain, check_key
from isthmus.model.private import Private

SiteFile = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]+$", max_length=1024)]
"""Absolute path of a file at the sites."""


class CertificateSpec(Spec):
    """Chain and private key, as text or as files at the sites."""

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

    @model_validator(mode="after")
    def _complete(self) -> Self:
        text, file = (self.chain, self.private_key), (self.chain_file, self.private_key_file)
        complete = [pair for pair in (text, file) if None not in pair]
        if len(complete) != 1 or any((text, file)[text in complete]):
            raise ValueError("set either chain and privateKey, or chainFile and privateKeyFile")
        return self

    @model_validator(mode="after")
    def _belongs(self) -> Self:
        if self.chain is not None and self.private_key is not None and self.private_key.text is not None:
            try:
                check_key(self.private_key.text, self.chain)
            except ValueError as error:
                raise ValueError(f"privateKey {error}" if str(error).startswith("is ") else str(error)) from None
        return self


class Certificate(Object):
    """A certificate chain and its private key."""

    plural: ClassVar[str] = "certificates"

    kind: Literal["Certificate"] = "Certificate"
    spec: CertificateSpec
